import { setTimeout as sleep } from 'node:timers/promises'
import { OutcomeUnknownError, RedisUnavailableError } from '../../src/errors.js'
import type { Accepted, WriteBehind } from '../../src/writebehind/index.js'
import type { Back } from './write-behind-table.js'
import type { Post } from './write-behind-task.js'

/** One change of a row by its only writer; `version` grows. */
interface Change {
  readonly version: number
  readonly isDeleted: boolean
  /** A replica had it when it was acknowledged. */
  hasReached: boolean
  ackedAt: number | undefined
}

interface Counter {
  reached: number
  /** When others were acknowledged, of which a failover may have taken some. */
  readonly others: number[]
}

/** Writers, each of rows of its own, and what the table should hold by what they were told. */
export class Writers {
  readonly failures: unknown[] = []
  /** Calls of which it is not known whether they were executed. */
  unknown = 0
  retries = 0
  acknowledged = 0
  /** Of them those that no replica had in time. */
  unreached = 0
  /** When the last primary was killed: what was acknowledged before, and had not reached a replica, may be gone. */
  killedAt = Number.NEGATIVE_INFINITY
  readonly #writes: WriteBehind<Post>
  readonly #rows = new Map<string, Change[]>()
  readonly #counters = new Map<string, Counter>()
  #workers: Promise<unknown> = Promise.resolve()
  #isOver = false

  constructor(writes: WriteBehind<Post>) {
    this.#writes = writes
  }

  begin(workers: number, rowsEach: number, counters: number, pauseMs: number): void {
    this.#isOver = false
    const work = async (worker: number) => {
      for (let n = 0; !this.#isOver; n++) {
        await (n % 5 === 4
          ? this.#count(`count-${n % counters}`)
          : this.#change(`${worker}-${Math.floor(Math.random() * rowsEach)}`))
        if (pauseMs > 0) await sleep(pauseMs)
      }
    }
    this.#workers = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#workers
  }

  async #change(id: string): Promise<void> {
    const changes = this.#rows.get(id) ?? []
    this.#rows.set(id, changes)
    const version = (changes.at(-1)?.version ?? 0) + 1
    const change: Change = { version, isDeleted: Math.random() < 0.2, hasReached: false, ackedAt: undefined }
    try {
      const answer = await (change.isDeleted
        ? this.#writes.delete(id)
        : this.#writes.write(id, { version, views: 0 }))
      changes.push(change)
      change.hasReached = this.#acked(answer)
      change.ackedAt = performance.now()
    } catch (error) {
      // Not executed.
      if (error instanceof RedisUnavailableError) return
      if (error instanceof OutcomeUnknownError) this.unknown++
      else this.failures.push(error)
      changes.push(change)
    }
  }

  /** Again and again with the same key, until there is an answer. */
  async #count(id: string): Promise<void> {
    const counter = this.#counters.get(id) ?? { reached: 0, others: [] }
    this.#counters.set(id, counter)
    const idempotencyKey = crypto.randomUUID()
    for (;;) {
      try {
        const answer = await this.#writes.increment(id, 'views', 1, { idempotencyKey })
        if (this.#acked(answer)) counter.reached++
        else counter.others.push(performance.now())
        return
      } catch {
        this.retries++
        await sleep(5)
      }
    }
  }

  #acked(answer: Accepted): boolean {
    if (!answer.accepted) throw new Error('there was no room')
    this.acknowledged++
    if (answer.durability !== 'memory') return true
    this.unreached++
    return false
  }

  #isSure({ hasReached, ackedAt }: Change): boolean {
    return hasReached || (ackedAt !== undefined && ackedAt > this.killedAt)
  }

  /** Rows that hold something else than what their writer was told, or than what it was not told of since. */
  lost(table: ReadonlyMap<string, Post>): readonly string[] {
    return [...this.#rows].flatMap(([id, changes]) => {
      const last = changes.findLastIndex((change) => this.#isSure(change))
      const found = table.get(id)
      const may = changes.slice(Math.max(0, last))
      const fits = may.some(({ isDeleted, version }) => (isDeleted ? !found : found?.version === version))
      if (fits || (last < 0 && !found)) return []
      return [
        `${id}: ${found?.version ?? 'none'}, and not ${may.map(({ version, isDeleted }) => `${version}${isDeleted ? ' deleted' : ''}`).join()}`,
      ]
    })
  }

  /** Counters that are below what is certain, or above all that can be. */
  miscounted(table: ReadonlyMap<string, Post>): readonly string[] {
    return [...this.#counters].flatMap(([id, { reached, others }]) => {
      const found = table.get(id)?.views ?? 0
      const least = reached + others.filter((at) => at > this.killedAt).length
      return found >= least && found <= reached + others.length
        ? []
        : [`${id}: ${found}, and not ${least} to ${reached + others.length}`]
    })
  }

  /** States that were written over a newer one that no failover can have taken. */
  reordered(backs: readonly Back[]): readonly Back[] {
    return backs.filter(({ id, newest, version }) =>
      this.#rows
        .get(id)
        ?.some((change) => change.version > version && change.version <= newest && this.#isSure(change)),
    )
  }
}
