import type { RedisPort } from '../../redis/port.js'
import { publish } from '../../telemetry.js'
import { cacheLog } from '../log/cache-log.js'
import type { ChangeLog } from '../log/change-log.js'
import { apply, type Outcome } from './apply.js'
import { EVENT, eventOf, type OutboxEvent } from './event.js'
import type { Handing } from './handing.js'
import type { Settings } from './options.js'
import type { Session } from './session.js'

/** So many events that Redis took, and the handler did not yet, are remembered; more are told to Redis again. */
const MOST = 100_000

/**
 * Goes through what is in the table, page by page, from the oldest id on, and deletes what is done. By what is there, not by
 * a position: an id is given out before its transaction commits, and one that commits late lies before those already seen.
 * Ids are given out under the lock of the row that was changed, so those of one row are in the order of its commits, and
 * whoever sees the later sees the earlier. That holds within one snapshot, so all pages are of that of the first: else one
 * that committed behind the page just read would be overtaken by a later one ahead of it.
 */
export class Sweeper {
  readonly #port: RedisPort
  readonly #settings: Settings
  readonly #handing: Handing | undefined
  /** Taken by Redis; the handler has not had them. */
  readonly #taken = new Set<bigint>()
  readonly #logs: ReadonlyMap<string, ChangeLog>

  constructor(port: RedisPort, settings: Settings, handing: Handing | undefined) {
    this.#port = port
    this.#settings = settings
    this.#handing = handing
    this.#logs = new Map([...settings.logs].map(([name, space]) => [name, cacheLog(port, space)]))
  }

  /** Whether nothing that was there is left. @throws whatever Postgres says, or why the session is lost */
  async sweep(session: Session, signal: AbortSignal): Promise<boolean> {
    const { batchSize, place } = this.#settings
    const pass: Pass = { held: new Set(), handlerFails: false, isTold: false }
    let after = 0n
    let snapshot: string | null = null
    let isDone = true
    for (;;) {
      const rows = (await session.query(
        `select ${EVENT} as event, pg_current_snapshot()::text as snapshot from (
           select * from ${place.quoted()}
            where failed_at is null and id > $1
              and ($3::text is null or pg_visible_in_snapshot(xid, $3::pg_snapshot))
            order by id limit $2
         ) as page order by id`,
        [String(after), batchSize, snapshot],
      )) as readonly { readonly event: string; readonly snapshot: string }[]
      snapshot ??= rows[0]?.snapshot ?? null
      const events = rows.map(({ event }) => eventOf(event))
      const last = events.at(-1)
      if (last !== undefined) {
        after = last.id
        if (!(await this.#page(session, events, pass, signal))) isDone = false
      }
      if (events.length < batchSize) return isDone
      signal.throwIfAborted()
    }
  }

  async #page(
    session: Session,
    events: readonly OutboxEvent[],
    pass: Pass,
    signal: AbortSignal,
  ): Promise<boolean> {
    const from = performance.now()
    const { replicas, deadlineMs } = this.#settings
    const open = events.filter(({ id, key }) => !this.#taken.has(id) && !pass.held.has(key))
    const outcomes = await apply(this.#port, open, { replicas, deadlineMs, signal, logs: this.#logs })
    const found = new Map(open.map((event, i) => [event, outcomes[i]]))
    const aside = new Map<OutboxEvent, string>()
    const ready: OutboxEvent[] = []
    for (const event of events) {
      const outcome = found.get(event)
      if (outcome?.kind === 'impossible') aside.set(event, outcome.cause.message)
      // What comes after one that waits, and has its key, waits as well.
      else if (outcome?.kind === 'waits' || pass.held.has(event.key)) this.#hold(event, outcome, pass, signal)
      else ready.push(event)
    }
    const done = await this.#handled(ready, aside, pass, signal)
    // A signal that came meanwhile makes nothing undone; who has lost the session cannot delete.
    await this.#setAside(session, aside)
    await this.#delete(session, done, from)
    return done.length + aside.size === events.length
  }

  #hold(event: OutboxEvent, outcome: Outcome | undefined, pass: Pass, signal: AbortSignal): void {
    pass.held.add(event.key)
    // What was broken off is no failure.
    if (outcome?.kind !== 'waits' || signal.aborted) return
    this.#publish('failed', 1)
    // One dead primary is one failure, however many events wait for it.
    if (!pass.isTold) this.#settings.report(outcome.cause, 'invalidate', event)
    pass.isTold = true
  }

  /** Those that the handler is through with; all of them where there is none. */
  async #handled(
    ready: readonly OutboxEvent[],
    aside: Map<OutboxEvent, string>,
    pass: Pass,
    signal: AbortSignal,
  ): Promise<readonly OutboxEvent[]> {
    if (this.#handing === undefined || ready.length === 0) return ready
    // After it has failed it gets no later ones, which Redis is told of all the same.
    const given = pass.handlerFails ? undefined : await this.#handing.hand(ready, signal)
    if (given === undefined) {
      if (!pass.handlerFails && !signal.aborted) this.#publish('failed', ready.length)
      pass.handlerFails = true
      for (const { id } of ready) if (this.#taken.size < MOST) this.#taken.add(id)
      return []
    }
    const known = new Set(ready)
    for (const [event, reason] of given) if (known.has(event)) aside.set(event, reason)
    return ready.filter((event) => !given.has(event))
  }

  async #setAside(session: Session, aside: ReadonlyMap<OutboxEvent, string>): Promise<void> {
    if (aside.size === 0) return
    const { place, report } = this.#settings
    await session.query(
      `update ${place.quoted()} as o set failed_at = clock_timestamp(), failure = t.reason
         from (select key::bigint as id, value as reason from json_each_text($1::json)) as t where o.id = t.id`,
      [JSON.stringify(Object.fromEntries([...aside].map(([{ id }, reason]) => [String(id), reason])))],
    )
    for (const [event, reason] of aside) {
      this.#taken.delete(event.id)
      report(new Error(`event ${event.id} of ${place.name} is set aside: ${reason}`), 'set-aside', event)
    }
    this.#publish('set-aside', aside.size)
  }

  async #delete(session: Session, done: readonly OutboxEvent[], from: number): Promise<void> {
    const [oldest] = done
    if (oldest === undefined) return
    const { place } = this.#settings
    const [row] = (await session.query(
      `with gone as (delete from ${place.quoted()} where id = any ($1::bigint[]) returning at)
       select coalesce(extract(epoch from clock_timestamp() - min(at)) * 1000, 0)::float8 as age from gone`,
      [done.map(({ id }) => String(id))],
    )) as readonly { readonly age: number | string }[]
    for (const { id } of done) this.#taken.delete(id)
    this.#publish('applied', done.length, performance.now() - from, Number(row?.age ?? 0))
  }

  #publish(kind: 'applied' | 'failed' | 'set-aside', events: number, durationMs = 0, delayMs?: number): void {
    publish('slotwise:outbox', () => ({
      name: this.#settings.place.name,
      kind,
      events,
      durationMs,
      delayMs,
      reason: undefined,
    }))
  }
}

/** What one way through the table has met. */
interface Pass {
  /** Keys of events that wait. */
  readonly held: Set<string>
  handlerFails: boolean
  isTold: boolean
}
