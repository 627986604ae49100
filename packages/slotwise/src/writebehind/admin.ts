import { ConfigurationError } from '../errors.js'
import { type Id, type KeySpace, plainName } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import type { DeadLetter } from './dead-letters.js'
import { GivenUp } from './given-up.js'
import type { Change } from './journal.js'
import { type Layout, Layouts, spaceOf, tokenOf } from './layout.js'
import { forMany, Partitions } from './partitions.js'
import { type ChangePartitionsOptions, type PartitionsChange, Repartition } from './repartition.js'
import { type Lag, lagOf } from './results.js'
import { wantedLetters } from './rows.js'
import { flushersOf } from './shares.js'

/** What waits, and who writes it. */
export interface LagReport extends Lag {
  /** Processes that flush. */
  readonly flushers: number
  /** How many partitions there are to be, while that is being changed. */
  readonly moving: number | undefined
  readonly partitions: readonly Lag[]
}

/** Options of what {@link WriteBehindAdmin} does with dead letters. */
export interface LettersOptions extends CallOptions {
  /** Only those of this tenant, and ids are ids of it. @defaultValue all; ids are those of no tenant */
  readonly tenant?: string | undefined
}

/** As many lines and bytes as a journal may have by default. */
const BOUNDS = { lines: 10_000, bytes: 4 * 2 ** 20, markMs: 60_000 }

/**
 * What can be done with a write-behind by who knows its name alone, and not what writes to its database: for command lines and
 * consoles. The number of partitions is read from Redis.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { WriteBehindAdmin } from 'slotwise/writebehind'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const posts = new WriteBehindAdmin(redis, { name: 'posts' })
 * console.log(await posts.lag(), await posts.deadLetters())
 * await posts.changePartitions(64, { onProgress: console.log })
 * ```
 */
export class WriteBehindAdmin {
  readonly #port: RedisPort
  readonly #space: KeySpace

  constructor(port: RedisPort, { name }: { readonly name: string }) {
    this.#port = port
    this.#space = spaceOf(port, plainName('name', name))
  }

  /** @throws ConfigurationError nobody has used this name yet; as all of these */
  async lag(options: CallOptions = {}): Promise<LagReport> {
    const [{ moving }, partitions] = await this.#open(options)
    const waiting = await partitions.waiting(options)
    const flushers = await flushersOf(this.#port, this.#space, options)
    return { ...lagOf(waiting), flushers, moving, partitions: waiting.map((one) => lagOf([one])) }
  }

  async deadLetters({ tenant, ...options }: LettersOptions = {}): Promise<readonly DeadLetter<unknown>[]> {
    const [, partitions] = await this.#open(options)
    return await this.#letters(partitions, undefined, tenant).list(options)
  }

  /**
   * As {@link WriteBehind.replay}, with room for as much as there is by default. How many are tried: not those of rows of
   * which something newer waits, nor what there is no room for.
   *
   * @throws ConfigurationError the number of partitions is being changed
   */
  async replay(ids?: readonly Id[], { tenant, ...options }: LettersOptions = {}): Promise<number> {
    const [layout, partitions] = await this.#open(options)
    const each = { ...forMany(options), layout: tokenOf(layout) }
    const accept = async (name: string, change: Change) => {
      const answer = await partitions.journalOf(name).accept(name, change, undefined, each)
      if (answer.state !== 'foreign') return answer
      throw new ConfigurationError(
        `the partitions of ${this.#space.name} are being changed: try it again when that is done`,
      )
    }
    return await this.#letters(partitions, ids, tenant).replay(accept, options)
  }

  /**
   * As {@link WriteBehind.discard}.
   *
   * @throws ConfigurationError the number of partitions is being changed
   */
  async discard(ids?: readonly Id[], { tenant, ...options }: LettersOptions = {}): Promise<number> {
    const [, partitions] = await this.#open(options)
    return await this.#letters(partitions, ids, tenant).discard(options)
  }

  /**
   * Spreads the rows over another number of partitions. **Meanwhile nothing is accepted**, by nobody: every write is a
   * `ConfigurationError` until what waits is written and no `idempotencyKey` of an increment may come again, which takes
   * `idempotencyWindowMs` after the last of them. What is flushed goes on being flushed, by processes of either number. Processes
   * accept again once they have been told the new number as their option `partitions`.
   *
   * Safe to stop at any moment and to repeat, also at the same time elsewhere. Once begun it can only be finished: with the same number.
   *
   * @throws ImpossibleChangeError a change to another number has begun, or what waits is flushed by nobody
   */
  async changePartitions(to: number, options: ChangePartitionsOptions = {}): Promise<PartitionsChange> {
    return await new Repartition(this.#port, this.#space, to, options).run()
  }

  async #open(options: CallOptions): Promise<readonly [Layout, Partitions<unknown>]> {
    const layout = await new Layouts(this.#port, this.#space).known(options)
    return [layout, new Partitions<unknown>(this.#port, this.#space, layout.partitions, BOUNDS)]
  }

  #letters(
    partitions: Partitions<unknown>,
    ids: readonly Id[] | undefined,
    tenant: string | undefined,
  ): GivenUp<unknown> {
    return new GivenUp(this.#space.name, partitions, wantedLetters(ids, tenant))
  }
}
