import { setTimeout as pause } from 'node:timers/promises'
import { ReplyError, SlotMigrationError, UnhealthyClusterError } from '../errors.js'
import type { Fleet, OperateOptions } from './fleet.js'
import { dialectOf, type Migration, type MigrationDialect, unlessForbidden } from './migration-dialect.js'
import { rangesOf } from './move-plan.js'
import { type Member, observe } from './observe.js'
import { asked } from './slot-keys.js'
import { type NodeView, owns } from './view.js'
import type { Tally } from './way.js'

/** Slots of one migration. Each forks the source once, and what fails or is stopped has moved nothing. */
const SLOTS_AT_ONCE = 1024
/** How often a migration is begun, by us or by the server itself, before it counts as failed. */
const ATTEMPTS = 3
/** A small migration is over soon, a large one is not to be disturbed. */
const POLL_MS = { first: 5, last: 250, growth: 1.15 }
/** What is in the way of a migration, such as another child process of the source, takes its time. */
const AGAIN_MS = 500

/** What became of a migration. */
export type Ended =
  | { readonly moved: true; readonly lossless: boolean }
  | { readonly moved: false; readonly reason: string; readonly again: boolean }

/** The two ends of a migration. */
interface Ends {
  readonly source: NodeView
  readonly target: NodeView
}

/**
 * Has servers move ranges of slots by themselves: the keys are sent while the source goes on serving, writes wait for
 * a moment at the end, and then all of them and their ownership have gone over at once. Nothing is half moved at any
 * time, so calls over several keys go on, and what ends early has moved nothing.
 *
 * A migration does not need us: it goes on when we are killed, and the next run waits for it. Without an end of its
 * own it is waited for as long as it takes.
 */
export class AtomicMove {
  readonly #fleet: Fleet
  readonly #options: OperateOptions
  readonly #tally: Tally

  constructor(fleet: Fleet, options: OperateOptions, tally: Tally) {
    this.#fleet = fleet
    this.#options = options
    this.#tally = tally
  }

  /** What could not be moved, and why; nothing of a migration that failed is at the target. */
  async move(
    dialect: MigrationDialect,
    ends: Ends,
    slots: readonly number[],
  ): Promise<{ readonly left: readonly number[]; readonly reason: string; readonly lossless: boolean }> {
    let lossless = true
    for (let at = 0; at < slots.length; at += SLOTS_AT_ONCE) {
      const some = slots.slice(at, at + SLOTS_AT_ONCE)
      const end = await this.#tried(dialect, ends, some)
      if (!end.moved) return { left: slots.slice(at), reason: end.reason, lossless }
      lossless &&= end.lossless
    }
    return { left: [], reason: '', lossless }
  }

  async #tried(dialect: MigrationDialect, ends: Ends, slots: readonly number[]): Promise<Ended> {
    const at = this.#fleet.memberOf(ends[dialect.askedOf])
    for (let attempt = 1; ; attempt++) {
      this.#options.signal?.throwIfAborted()
      let reason: string
      try {
        const id = await dialect.start(at, ends.target.self.id, rangesOf(slots))
        const end = await this.follow(dialect, ends, id, slots)
        if (end.moved || !end.again) return end
        reason = end.reason
      } catch (error) {
        if (!(error instanceof ReplyError)) throw error
        reason = error.message
        if (error.replyCode === 'NOPERM') return { moved: false, reason, again: false }
      }
      if (attempt === ATTEMPTS) {
        // The classic way would meet it, or break it off.
        const others = (await dialect.list(at)).find(
          ({ phase }) => phase === 'running' || phase === 'retrying',
        )
        if (others === undefined) return { moved: false, reason, again: false }
        throw new UnhealthyClusterError(
          `somebody else is migrating slots ${others.slots} at ${at.client.node} (${reason}): run it again when that is done`,
        )
      }
      this.#tally.say(`migrating slots from ${ends.source.node} failed, and is tried again: ${reason}`)
      await pause(AGAIN_MS, undefined, { signal: this.#options.signal }).catch(() => {})
    }
  }

  /** Waits for a migration, ours or not, and cancels it when it is to be stopped or does not succeed. */
  async follow(dialect: MigrationDialect, ends: Ends, id: string, slots: readonly number[]): Promise<Ended> {
    const at = this.#fleet.memberOf(ends[dialect.askedOf])
    const { signal } = this.#options
    const label = `moving slots from ${ends.source.node} to ${ends.target.node} atomically`
    const poll = polling()
    for (let reason = ''; ; ) {
      if (signal?.aborted) {
        await this.#cancelled(dialect, ends, id)
        throw signal.reason
      }
      const now = await found(dialect, at, id)
      if (now !== undefined && now.reason !== '') reason = now.reason
      // A server remembers a limited number of those that have ended.
      if (now === undefined || now.phase === 'done' || now.phase === 'failed') {
        return await this.#settled(dialect, ends, id, slots, now, reason)
      }
      if (now.phase === 'cancelled') {
        // By somebody, or by the server because its slots have changed. Whoever did it does not want it done otherwise.
        const why = now.reason === '' ? 'it was cancelled' : `it was cancelled: ${now.reason}`
        throw new SlotMigrationError(why, { ...named(ends), slots: now.slots })
      }
      this.#tally.say(`${label}: ${now.state}`)
      if (now.phase === 'retrying' && now.retries >= ATTEMPTS - 1) {
        await this.#cancelled(dialect, ends, id)
        return await this.#settled(dialect, ends, id, slots, { ...now, phase: 'failed' }, reason)
      }
      await poll(signal)
    }
  }

  /** Who owns the slots in the end decides, not what was said last: an end that is lost may have been the good one. */
  async #settled(
    dialect: MigrationDialect,
    ends: Ends,
    id: string,
    slots: readonly number[],
    last: Migration | undefined,
    reason: string,
  ): Promise<Ended> {
    const isTargets = await this.#ownedByTarget(ends, slots)
    const otherEnd = this.#fleet.memberOf(dialect.askedOf === 'source' ? ends.target : ends.source)
    // Where it failed too: what a target goes on removing would take keys with it that come another way.
    const seen = await ended(dialect, otherEnd, id, this.#options.timeoutMs)
    if (!isTargets) {
      // Where the server has tried it again by itself, that was enough.
      const again = (last?.retries ?? 0) === 0
      return { moved: false, reason: reason || `${dialect.name} lost the migration`, again }
    }
    const counts = await asked(
      this.#fleet.memberOf(ends.target),
      slots.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]),
    )
    this.#tally.keys += counts.reduce<number>((sum, count) => sum + Number(count), 0)
    this.#tally.slots += slots.length
    this.#tally.atomically += slots.length
    this.#tally.say(`moving slots from ${ends.source.node} to ${ends.target.node} atomically`)
    // A source that gave up waiting for its target may have taken writes again, which are lost.
    return { moved: true, lossless: last?.phase === 'done' && (seen === undefined || seen.phase === 'done') }
  }

  /** Both ends agree about all of the slots, or it is not known where they are. */
  async #ownedByTarget({ source, target }: Ends, slots: readonly number[]): Promise<boolean> {
    const deadline = performance.now() + (this.#options.timeoutMs ?? 30_000)
    const poll = polling()
    for (;;) {
      const [giver, taker] = await Promise.all(
        [source, target].map((view) => observe(this.#fleet.memberOf(view))),
      )
      if (giver !== undefined && taker !== undefined) {
        if (slots.every((slot) => owns(taker, slot) && !owns(giver, slot))) return true
        if (slots.every((slot) => !owns(taker, slot))) return false
      }
      if (performance.now() > deadline) {
        throw new UnhealthyClusterError(
          `${source.node} and ${target.node} do not agree on who owns the slots that were migrated`,
        )
      }
      await poll()
    }
  }

  /** Resolves when nothing of it is left at either end. */
  async #cancelled(dialect: MigrationDialect, ends: Ends, id: string): Promise<void> {
    const at = this.#fleet.memberOf(ends[dialect.askedOf])
    const otherEnd = this.#fleet.memberOf(dialect.askedOf === 'source' ? ends.target : ends.source)
    await dialect.cancel(at, id)
    for (const end of [at, otherEnd]) await ended(dialect, end, id, this.#options.timeoutMs)
  }
}

/** What one end says of a migration when that is over for it, in so far as it knows of it. */
async function ended(
  dialect: MigrationDialect,
  at: Member,
  id: string,
  timeoutMs = 30_000,
): Promise<Migration | undefined> {
  const deadline = performance.now() + timeoutMs
  const poll = polling()
  for (;;) {
    const now = await dialect.find(at, id)
    // A source of Redis that failed stays so: only the target begins again.
    if (now?.phase !== 'running') return now
    if (performance.now() > deadline) {
      throw new UnhealthyClusterError(`${at.client.node} does not end a migration of slots (${now.state})`)
    }
    await poll()
  }
}

async function found(dialect: MigrationDialect, at: Member, id: string): Promise<Migration | undefined> {
  try {
    return (await dialect.list(at)).find((one) => one.id === id)
  } catch (error) {
    if (error instanceof ReplyError) throw error
    throw new UnhealthyClusterError(
      `${at.client.node} stopped answering while slots were migrated; the servers go on, or give up, without us: run it again`,
      { cause: error },
    )
  }
}

const named = ({ source, target }: Ends) => ({ from: source.node, to: target.node })

/** Pauses that grow. */
function polling(): (signal?: AbortSignal) => Promise<void> {
  let ms = POLL_MS.first
  return async (signal) => {
    await pause(ms, undefined, { signal }).catch(() => {})
    ms = Math.min(ms * POLL_MS.growth, POLL_MS.last)
  }
}

/**
 * Waits until a node is done with what earlier migrations left.
 *
 * @throws UnhealthyClusterError it is not, in time
 */
export async function atRest(member: Member, { timeoutMs = 30_000, signal }: OperateOptions): Promise<void> {
  const dialect = await dialectOf([member])
  const deadline = performance.now() + timeoutMs
  for (const poll = polling(); ; ) {
    signal?.throwIfAborted()
    const busy = dialect && (await unlessForbidden(dialect.busyWith(member)))
    if (busy === undefined) return
    if (performance.now() > deadline) {
      throw new UnhealthyClusterError(
        `${member.client.node} is still ${busy}: run it again when that is done`,
      )
    }
    await poll(signal)
  }
}
