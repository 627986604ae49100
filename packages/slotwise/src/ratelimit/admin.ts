import { ConfigurationError, UnexpectedReplyError } from '../errors.js'
import { type Id, type Key, type KeySpace, keyOf, keyWithin, plainName } from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { EPOCH_US } from './algorithm.js'
import blockSource from './block.lua.js'
import { Deciding } from './deciding.js'
import type { TierState } from './decision.js'
import type { OnPlanChange } from './plan.js'
import { Policy } from './policy.js'
import showSource from './show.lua.js'
import type { Tier } from './tiers.js'

/** Settings of a {@link RateLimitAdmin}. */
export interface RateLimitAdminOptions<N extends string> {
  /** That of the limiter. */
  readonly name: string
  /** The limits as the limiter has them, in its order: a record tells which tiers it is of only to who knows them. */
  readonly tiers?: Readonly<Record<N, Tier>> | undefined
  /** That of the limiter. @defaultValue what the record of a subject is of; where there is none, `'keep-used'` */
  readonly onPlanChange?: OnPlanChange | undefined
}

/** Options of what a {@link RateLimitAdmin} does with a subject. */
export interface SubjectOptions extends CallOptions {
  /** Whose subject it is. @defaultValue nobody's */
  readonly tenant?: string | undefined
  /**
   * Of a limiter with `together`: the part by which tiers count, in whose slot the subject lies, such as `['tenant', 'acme']`. Told are the
   * tiers without `by`. What is kept of the part itself is the subject `['by', 'tenant', 'acme']`, of the tiers with `by`.
   */
  readonly within?: readonly [by: string, part: string | number | bigint] | undefined
}

/** What a record tells to everybody. */
interface Kept {
  readonly key: string
  readonly bytes: number
  /** When something was last taken or given back, by the server's clock. */
  readonly writtenAt: Date
  /** Until the subject is as if it had never asked, in milliseconds, if nobody consumes meanwhile. */
  readonly endsInMs: number
}

/** What is kept of a subject. */
export type SubjectReport<N extends string = string> =
  /** Nothing: as if it had never asked. */
  | { readonly state: 'fresh'; readonly key: string }
  /** No tiers were told by which to read it. */
  | (Kept & { readonly state: 'unread' })
  /** The tiers that were told are not those of the record, or something else lies there. A limiter of these would take it for absent. */
  | (Kept & { readonly state: 'foreign' })
  | (Kept & {
      readonly state: 'known'
      readonly onPlanChange: OnPlanChange
      /** How long a block lasts still; 0 where there is none. */
      readonly blockedMs: number
      readonly tiers: readonly TierState<N>[]
    })

const EACH: readonly OnPlanChange[] = ['keep-used', 'keep-proportion', 'reset']
const DEADLINE_MS = 3000
const TOLD = 16
const UNBLOCKED = Buffer.alloc(8)

/**
 * What can be done with subjects of a limiter by who knows its name: for command lines and consoles. The limits are needed for
 * what depends on them, which is where a subject stands, and to block it; not for when it will be forgotten, and to reset it.
 *
 * A limiter that remembers refusals in its process sees a reset or the end of a block after its `maxAgeMs` at the latest.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { RateLimitAdmin, tokenBucket } from 'slotwise/ratelimit'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const api = new RateLimitAdmin(redis, {
 *   name: 'api',
 *   tiers: { second: tokenBucket({ capacity: 100, refillPerSecond: 100 }) },
 * })
 * console.log(await api.show('customer-1'))
 * await api.block('customer-1', { forMs: 60_000 })
 * ```
 */
export class RateLimitAdmin<N extends string> {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #options: RateLimitAdminOptions<N>

  constructor(port: RedisPort, options: RateLimitAdminOptions<N>) {
    this.#port = port
    this.#space = { namespace: port.namespace, pattern: 'ratelimit', name: plainName('name', options.name) }
    this.#options = options
  }

  /** What is kept of `subject`. Consumes nothing. Two looks, of which the second tells the tiers. */
  async show(subject: Id, options: SubjectOptions = {}): Promise<SubjectReport<N>> {
    const key = this.#keyOf(subject, options)
    const seen = await this.#look(key, options)
    if (seen === undefined) return { state: 'fresh', key }
    const { tiers } = this.#options
    const { record, nowUs, endsInMs } = seen
    const writtenUs = record.length < 12 ? 0 : record.readDoubleBE(4)
    const kept: Kept = {
      key,
      bytes: record.length,
      writtenAt: new Date((EPOCH_US + writtenUs) / 1000),
      endsInMs,
    }
    if (tiers === undefined) return { ...kept, state: 'unread' }
    const onPlanChange = this.#kindOf(record, tiers)
    if (onPlanChange === undefined) return { ...kept, state: 'foreign' }
    const rest = record.subarray(new Policy(tiers, onPlanChange).plan.empty.length)
    const isBlocked = rest.length >= 16 && rest.subarray(8, 16).equals(UNBLOCKED)
    // A clock that has stepped back moves what ends with it.
    const blockedUs = isBlocked ? rest.readDoubleBE(0) - Math.max(nowUs, writtenUs) : 0
    const policy = new Policy(tiers, onPlanChange)
    const nothing = policy.names.map(() => 0)
    const { standings } = await this.#deciding(tiers).ask(policy, nothing, key, { call: within(options) })
    return {
      ...kept,
      state: 'known',
      onPlanChange,
      blockedMs: Math.max(0, Math.ceil(blockedUs / 1000)),
      tiers: policy.states(standings),
    }
  }

  /**
   * As {@link RateLimiter.block}.
   *
   * @throws ConfigurationError no tiers were told, or the record is of others: to write a block would forget what is in it
   */
  async block(
    subject: Id,
    { forMs, ...options }: SubjectOptions & { readonly forMs: number },
  ): Promise<void> {
    const { tiers, onPlanChange = 'keep-used' } = this.#options
    if (tiers === undefined) throw new ConfigurationError('to block a subject, the limits have to be told')
    const key = this.#keyOf(subject, options)
    const seen = await this.#look(key, options)
    const known = seen === undefined ? onPlanChange : this.#kindOf(seen.record, tiers)
    if (known === undefined) {
      throw new ConfigurationError(
        'what is kept of this subject is of other limits than those that were told; a reset forgets it',
      )
    }
    const { plan } = new Policy(tiers, known)
    const args = [plan.empty, integer('forMs', forMs, { min: 0, max: 2 ** 48 }), plan.bytes([])]
    await this.#deciding(tiers).run(blockSource, key, args, within(options))
  }

  /** As {@link RateLimiter.reset}; whether there was anything. */
  async reset(subject: Id, options: SubjectOptions = {}): Promise<boolean> {
    const key = this.#keyOf(subject, options)
    return (await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' }, within(options))) === 1
  }

  #keyOf(subject: Id, { tenant, within: part }: SubjectOptions): Key {
    const space = { ...this.#space, tenant }
    return part === undefined ? keyOf(space, subject) : keyWithin(keyOf(space, ['by', ...part]), subject)
  }

  #deciding(tiers: Readonly<Record<N, Tier>>): Deciding<N> {
    // Whether counts may be evicted is for who relies on them.
    const options = { whenUnavailable: 'deny', evictionCheck: 'off' } as const
    return new Deciding<N>(this.#port, { name: this.#space.name, tiers, ...options })
  }

  /** Of which limiter of these tiers a record is. */
  #kindOf(record: Buffer, tiers: Readonly<Record<N, Tier>>): OnPlanChange | undefined {
    const { onPlanChange } = this.#options
    return (onPlanChange === undefined ? EACH : [onPlanChange]).find((kind) => {
      const { empty, layout } = new Policy(tiers, kind).plan
      return record.length >= empty.length && record.readUInt32BE(0) === layout
    })
  }

  async #look(
    key: Key,
    options: SubjectOptions,
  ): Promise<{ readonly record: Buffer; readonly nowUs: number; readonly endsInMs: number } | undefined> {
    const reply = await this.#port.call(
      { script: showSource, keys: [key], args: [], repeat: 'safe' },
      { ...within(options), binary: true },
    )
    if (!Buffer.isBuffer(reply)) throw new UnexpectedReplyError('a record was answered with something else')
    if (reply.length < TOLD) return undefined
    const record = reply.subarray(TOLD)
    return { record, nowUs: reply.readDoubleBE(0), endsInMs: Math.max(0, reply.readDoubleBE(8)) }
  }
}

const within = ({ signal, deadlineMs = DEADLINE_MS }: CallOptions): CallOptions => ({ signal, deadlineMs })
