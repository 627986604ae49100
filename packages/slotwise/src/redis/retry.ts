import type { RetryReason } from '../telemetry.js'
import { endpointOf } from './address.js'
import type { Endpoint } from './link.js'

/** What a server's error reply means for the call that met it. */
export type Verdict =
  /** Not executed: the slot lives elsewhere now. */
  | { readonly kind: 'moved'; readonly slot: number; readonly host: string; readonly port: number }
  /** Not executed: this one key may be there already. The next one may not. */
  | { readonly kind: 'ask'; readonly slot: number; readonly host: string; readonly port: number }
  /** Not executed, and may be soon: an election, a slot half moved, a server loading or busy. */
  | { readonly kind: 'later'; readonly why: RetryReason; readonly moving: boolean; readonly refresh: boolean }
  /** Not executed: this node does not know the script. */
  | { readonly kind: 'no-script' }
  /** The answer. */
  | { readonly kind: 'final' }

type Later = 'TRYAGAIN' | 'CLUSTERDOWN' | 'LOADING' | 'MASTERDOWN' | 'READONLY' | 'BUSY'
const LATER = /^(TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|READONLY|BUSY) /

// Redis 7 appends where a script or a function failed to the error it failed with: the hash of the one, the name of the
// other. What ran before that line has happened.
const RAISED_IN_SCRIPT = / script: \w+, on @/

/**
 * Reads an error reply. An error that a script raised is final whatever it says: the commands before it were
 * executed, so it must not pass for one of those that mean "not executed".
 */
export function verdictOf(message: string): Verdict {
  if (RAISED_IN_SCRIPT.test(message)) return { kind: 'final' }
  const redirect = /^(MOVED|ASK) (\d+) (\S*):(\d+)$/.exec(message)
  if (redirect !== null) {
    const [, word, slot, host = '', port] = redirect
    return { kind: word === 'ASK' ? 'ask' : 'moved', slot: Number(slot), host, port: Number(port) }
  }
  if (message.startsWith('NOSCRIPT')) return { kind: 'no-script' }
  const word = LATER.exec(message)?.[1] as Later | undefined
  if (word === undefined) return { kind: 'final' }
  return {
    kind: 'later',
    why: word.toLowerCase() as Lowercase<Later>,
    moving: word === 'TRYAGAIN',
    refresh: word === 'CLUSTERDOWN' || word === 'READONLY' || word === 'MASTERDOWN',
  }
}

/** Whether an error reply says what the node holds: none does that sends elsewhere, or says to come again. */
export function isFinal(message: string): boolean {
  return verdictOf(message).kind === 'final'
}

/** Where a redirection leads to; an empty host is the host that was asked. */
export function targetOf({ host, port }: Endpoint, asked: string): Endpoint {
  return { host: host === '' ? endpointOf(asked).host : host, port }
}

/**
 * With less of its deadline left no call is sent again: "certainly not executed" is worth more than a try whose answer would come
 * too late.
 */
export const LAST_MS = 25

/** How long to wait before a repeat. */
export interface Backoff {
  readonly min: number
  readonly max: number
}

/** Full jitter: anything from nothing to the exponential step, so that callers who failed together part ways. */
export function backoffMs(attempt: number, { min, max }: Backoff): number {
  return Math.random() * Math.min(max, min * 2 ** Math.min(attempt, 20))
}
