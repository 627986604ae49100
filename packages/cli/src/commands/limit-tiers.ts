import { SlotwiseError } from 'slotwise'
import type * as Library from 'slotwise/ratelimit'
import type { PLANS, Tier } from 'slotwise/ratelimit'
import { Refusal } from '../exit.js'
import { harmless } from '../output/table.js'

/** The options of each kind; of what they hold the library says what is wrong. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  tokenBucket: ['capacity', 'refillPerSecond', 'maxWaitMs', 'tokens', 'everyMs'],
  fixedWindow: ['limit', 'windowMs', 'align', 'period', 'timeZone'],
  slidingWindow: ['limit', 'windowMs', 'mode', 'parts'],
  slidingLog: ['limit', 'windowMs'],
  concurrency: ['max', 'ttlMs'],
}

export const PLAN_NAMES = [
  'FREE',
  'STARTER',
  'BUSINESS',
  'ENTERPRISE',
] as const satisfies readonly (keyof typeof PLANS)[]

/**
 * The limits as they are told on a command line: `minute=slidingWindow:limit=100,windowMs=60000`, names and options those of the
 * library.
 *
 * @throws Refusal
 */
export async function tiersOf(
  texts: readonly string[] | undefined,
  plan: keyof typeof PLANS | undefined,
): Promise<Readonly<Record<string, Tier>> | undefined> {
  // No other command waits for it to be loaded.
  const library = await import('slotwise/ratelimit')
  if (texts === undefined) return plan === undefined ? undefined : library.PLANS[plan]
  if (plan !== undefined) throw new Refusal('Give the limits either by --tier or by --plan.')
  const tiers = texts.map((text) => tierOf(library, text))
  const names = tiers.map(([name]) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new Refusal(`--tier names ${harmless(twice)} twice.`)
  return Object.fromEntries(tiers)
}

function tierOf(library: typeof Library, text: string): readonly [string, Tier] {
  const [, name = '', kind = '', rest = ''] = /^([^=]+)=([a-zA-Z]+):(.+)$/.exec(text) ?? []
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  if (known === undefined) {
    throw new Refusal(
      `${harmless(text)} is no limit: give NAME=KIND:OPTION=VALUE,… such as minute=slidingWindow:limit=100,windowMs=60000, the kind one of ${Object.keys(KINDS).join(', ')}.`,
    )
  }
  const given = rest.split(',').map((one) => {
    const [, word = '', value = ''] = /^(\w+)=(.+)$/.exec(one) ?? []
    if (known.includes(word)) return [word, valueOf(value)] as const
    throw new Refusal(`${harmless(one)} is no option of ${kind}: it has ${known.join(', ')}.`)
  })
  try {
    return [name, makerOf(library, kind)(Object.fromEntries(given) as never)]
  } catch (error) {
    if (!(error instanceof SlotwiseError)) throw error
    throw new Refusal(`${harmless(name)} of --tier is no limit: ${error.message}.`)
  }
}

/** Of numbers also a fraction: `10/60` a second is ten a minute. */
function valueOf(text: string): number | string {
  const [, above, below] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(text) ?? []
  if (above !== undefined) return Number(above) / Number(below)
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

/** Options that are nested in the library have names of their own here. */
function makerOf(library: typeof Library, kind: string): (given: never) => Tier {
  const makers: Readonly<Record<string, (given: never) => Tier>> = {
    slidingWindow: library.slidingWindow,
    slidingLog: library.slidingLog,
    concurrency: library.concurrency,
    tokenBucket: ({ tokens, everyMs, ...rest }: Bucket) =>
      library.tokenBucket(
        tokens === undefined || everyMs === undefined
          ? rest
          : { capacity: rest.capacity, refill: { tokens, everyMs } },
      ),
    fixedWindow: ({ period, timeZone, ...rest }: Window) =>
      library.fixedWindow(period === undefined ? rest : { limit: rest.limit, align: { period, timeZone } }),
  }
  const maker = makers[kind]
  if (maker === undefined) throw new TypeError(`there is no ${kind}`)
  return maker
}

interface Bucket {
  readonly capacity: number
  readonly refillPerSecond: number
  readonly maxWaitMs?: number
  readonly tokens?: number
  readonly everyMs?: number
}

interface Window {
  readonly limit: number
  readonly windowMs: number
  readonly align?: 'first' | 'clock'
  readonly period?: 'day' | 'month'
  readonly timeZone?: string
}
