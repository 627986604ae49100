import { ConfigurationError, UnexpectedReplyError } from '../errors.js'
import { type Id, type KeySpace, keyOf, plainName } from '../keys.js'
import { type CallOptions, integer, shown } from '../options.js'
import type { RedisPort, Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import fencedSetSource from './fenced-set.lua.js'
import type { Lock } from './lock.js'

/** Settings of {@link FencedValues}. */
export interface FencedValuesOptions {
  /** Part of every key. */
  readonly name: string
  /**
   * How long a value and its token are kept from the last change on, in milliseconds; longer than any holder may stall, or one that
   * wakes after that is let in again. @defaultValue a day
   */
  readonly keepMs?: number | undefined
}

/** Options of a change. */
export interface FencedChangeOptions extends CallOptions {
  /** Whose token the change bears. */
  readonly lock: Pick<Lock, 'token' | 'assertHeld'>
}

/** What became of a change. */
export type FencedChange =
  | { readonly written: true }
  /** A newer holder was there: nothing was changed, and you do not hold the lock any more. */
  | { readonly written: false; readonly seen: bigint }

const script = defineScript(fencedSetSource, { repeat: 'safe', decode: tokenOf })

/**
 * Values in Redis that only the newest holder of a lock can change: once it has changed one, no older holder does. What an older
 * one has changed before stands, as with any fence. A failover of an asynchronous replica can lose the last changes, their
 * tokens with them. One key and one round trip each.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { FencedValues, Locks } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'] })
 * const locks = new Locks(redis, { name: 'jobs', maxTtlMs: 5000 })
 * const cursors = new FencedValues<number>(redis, { name: 'cursors' })
 * await locks.using('import', { ttlMs: 5000 }, async (lock) => {
 *   const at = (await cursors.get('import')) ?? 0
 *   const change = await cursors.set('import', at + 100, { lock })
 *   if (!change.written) throw new Error('somebody else is at it')
 * })
 * ```
 */
export class FencedValues<T> {
  readonly #port: RedisPort
  readonly #keepMs: number
  readonly #options: FencedValuesOptions
  #space: KeySpace

  constructor(port: RedisPort, options: FencedValuesOptions) {
    this.#port = port
    this.#options = options
    this.#keepMs = integer('keepMs', options.keepMs ?? 86_400_000)
    this.#space = { namespace: port.namespace, pattern: 'fenced', name: plainName('name', options.name) }
  }

  /** The values of one tenant: a free view. */
  forTenant(tenant: string): FencedValues<T> {
    const view = new FencedValues<T>(this.#port, this.#options)
    view.#space = { ...this.#space, tenant }
    return view
  }

  /** `undefined` where nothing is. */
  async get(id: Id, options?: CallOptions): Promise<T | undefined> {
    const key = keyOf(this.#space, id)
    const reply = await this.#port.call({ key, command: ['HGET', key, 'v'], repeat: 'safe' }, options)
    return reply === null ? undefined : (JSON.parse(String(reply)) as T)
  }

  /**
   * Makes it the value, unless a newer holder has changed it.
   *
   * @throws LockLostError the lock was over before
   * @throws ConfigurationError the value is nothing that JSON can hold
   */
  async set(id: Id, value: T, options: FencedChangeOptions): Promise<FencedChange> {
    let text: string | undefined
    try {
      text = JSON.stringify(value) as string | undefined
    } catch (cause) {
      throw new ConfigurationError('a fenced value must be what JSON can hold', { cause })
    }
    if (text === undefined)
      throw new ConfigurationError(`a fenced value must be what JSON can hold, got ${shown(value)}`)
    return this.#change(id, { content: text, removes: 0 }, options)
  }

  /** Removes it, unless a newer holder has changed it. Its token stays for `keepMs`. @throws LockLostError the lock was over before */
  delete(id: Id, options: FencedChangeOptions): Promise<FencedChange> {
    return this.#change(id, { content: '', removes: 1 }, options)
  }

  async #change(
    id: Id,
    change: { readonly content: string; readonly removes: 0 | 1 },
    { lock, ...options }: FencedChangeOptions,
  ): Promise<FencedChange> {
    lock.assertHeld()
    const keys = { value: keyOf(this.#space, id) }
    const args = { ...change, token: lock.token.toString(), keep_ms: this.#keepMs }
    const seen = await script.run(this.#port, keys, args, options)
    return seen === lock.token ? { written: true } : { written: false, seen }
  }
}

function tokenOf(reply: Reply): bigint {
  if (typeof reply === 'string' && /^\d+$/.test(reply)) return BigInt(reply)
  throw new UnexpectedReplyError('a change of a fenced value was answered with something else than a token')
}
