import { ConfigurationError, SlotMigrationError } from '../errors.js'
import { reigning } from '../redis/lineage.js'
import { AtomicMove, atRest } from './atomic-move.js'
import { ClassicMove } from './classic-move.js'
import { outbids } from './epochs.js'
import { type Fleet, type OperateOptions, placeOf, primariesOf } from './fleet.js'
import { lineageOf, stayed } from './lineage.js'
import { dialectOf, type MigrationDialect, unlessForbidden } from './migration-dialect.js'
import { rangesOf, type SlotMove } from './move-plan.js'
import { type NodeView, type SlotRange, slotsOf } from './view.js'
import { type Moved, type MoveLimits, Tally } from './way.js'

/** A move, and the way it is to go; without a dialect, the classic one. */
export interface WayedMove extends SlotMove {
  readonly dialect: MigrationDialect | undefined
}

/**
 * Decides the way of each move, by what both of its ends can do.
 *
 * @throws ConfigurationError it is to be atomic, and one of them cannot
 */
export async function waysOf(
  fleet: Fleet,
  views: readonly NodeView[],
  moves: readonly SlotMove[],
  { method = 'auto' }: MoveLimits,
): Promise<readonly WayedMove[]> {
  return await Promise.all(
    moves.map(async (move) => {
      if (method === 'classic') return { ...move, dialect: undefined }
      const ends = [move.from, move.to].map(({ id }) => fleet.memberOf(fleet.find(views, id)))
      const dialect = await dialectOf(ends)
      if (method === 'atomic' && dialect === undefined) {
        const [from, to] = ends.map(({ client }) => client.node)
        throw new ConfigurationError(
          `method is 'atomic', and ${from} and ${to} have no atomic migration in common that this user may ask for: Redis has it from 8.4, Valkey from 9`,
        )
      }
      return { ...move, dialect }
    }),
  )
}

/** Moves slots, each move in its own way, and tells whoever is to be told what is to go, and what has come without a loss. */
export class Mover {
  readonly #fleet: Fleet
  readonly #options: OperateOptions & MoveLimits

  constructor(fleet: Fleet, options: OperateOptions & MoveLimits) {
    this.#fleet = fleet
    this.#options = options
  }

  async run(views: readonly NodeView[], moves: readonly WayedMove[]): Promise<Moved> {
    const total = moves.reduce((sum, { slots }) => sum + slotsOf(slots).length, 0)
    const tally = new Tally(total, this.#options.onProgress)
    const classic = new ClassicMove(this.#fleet, this.#options, tally)
    const atomic = new AtomicMove(this.#fleet, this.#options, tally)
    for (const move of moves) {
      this.#options.signal?.throwIfAborted()
      await this.#watched(views, move, tally, async (source, target, slots) => {
        let [left, lossless] = [slots, true]
        if (move.dialect !== undefined) {
          const result = await atomic.move(move.dialect, { source, target }, slots)
          ;({ left, lossless } = result)
          if (left.length > 0) this.#giveUp(move, rangesOf(left), result.reason, tally)
        }
        if (left.length > 0) {
          const [from, to] = [this.#fleet.memberOf(source), this.#fleet.memberOf(target)]
          await atRest(to, this.#options)
          const others = primariesOf(views).filter((view) => view !== source && view !== target)
          await outbids(
            to,
            from,
            others.map((view) => this.#fleet.memberOf(view)),
            this.#options,
          )
          await classic.move(views, source, target, left)
        }
        return lossless
      })
    }
    return tally.moved
  }

  /**
   * Waits for the migrations that are under way, ours of an earlier run or another's. What fails of them is
   * cancelled: its slots are where they were.
   */
  async waitForRunning(views: readonly NodeView[]): Promise<Moved> {
    const tally = new Tally(0, this.#options.onProgress)
    const atomic = new AtomicMove(this.#fleet, this.#options, tally)
    const listed = await Promise.all(
      primariesOf(views).map(async (view) => {
        const member = this.#fleet.memberOf(view)
        const dialect = await dialectOf([member])
        return dialect === undefined
          ? []
          : ((await unlessForbidden(dialect.list(member))) ?? []).map((one) => ({ dialect, migration: one }))
      }),
    )
    for (const { dialect, migration } of listed.flat()) {
      if (migration.phase === 'running' || migration.phase === 'retrying') {
        const slots = migration.slots.split(' ').map((range): SlotRange => {
          const [first = 0, last = first] = range.split('-').map(Number)
          return [first, last]
        })
        const [source, target] = [migration.source, migration.target].map((id) =>
          this.#fleet.find(views, id),
        ) as [NodeView, NodeView]
        const move = { from: placeOf(source), to: placeOf(target), slots }
        await this.#watched(views, move, tally, async (from, to, all) => {
          const ended = await atomic.follow(dialect, { source: from, target: to }, migration.id, all)
          if (!ended.moved) tally.say(`a migration that was found has failed: ${ended.reason}`)
          return ended.moved ? ended.lossless : undefined
        })
      }
    }
    return tally.moved
  }

  /** Does a move, and judges by its ends whether anything can have been lost; undefined is a move that did not take place. */
  async #watched(
    views: readonly NodeView[],
    { from, to, slots }: SlotMove,
    tally: Tally,
    move: (source: NodeView, target: NodeView, slots: readonly number[]) => Promise<boolean | undefined>,
  ): Promise<void> {
    const ends = [this.#fleet.find(views, from.id), this.#fleet.find(views, to.id)] as const
    const members = ends.map((view) => this.#fleet.memberOf(view))
    const before = await Promise.all(members.map(lineageOf))
    const all = slotsOf(slots)
    const giver = { ...placeOf(ends[0]), ...(before[0] && reigning(before[0])) }
    await this.#options.beforeMove?.(all, giver)
    const isLossless = await move(...ends, all)
    if (isLossless === undefined) return
    const both = await Promise.all(
      members.map(async (member, i) => {
        const one = before[i]
        return one !== undefined && (await stayed(member, one, to.id))
      }),
    )
    const bothStayed = !both.includes(false)
    if (isLossless && bothStayed) await this.#options.afterLosslessMove?.(all, placeOf(ends[1]), giver)
    else tally.lossless = false
  }

  #giveUp({ from, to }: SlotMove, slots: readonly SlotRange[], reason: string, tally: Tally): void {
    const text = slots.map((range) => range.join('-')).join(' ')
    if (this.#options.method === 'atomic') {
      throw new SlotMigrationError(reason, {
        slots: text,
        from: `${from.host}:${from.port}`,
        to: `${to.host}:${to.port}`,
      })
    }
    tally.fellBack.push({ from, to, slots, reason })
    tally.say(`moving slots ${text} the classic way, since migrating them failed: ${reason}`)
  }
}
