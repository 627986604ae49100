import { integer, oneOf } from '../options.js'
import { alone } from './alone.js'
import { MAX_KEY_BYTES } from './classic-move.js'
import { Fleet, type OperateOptions, primariesOf } from './fleet.js'
import { balance, pick, type SlotMove } from './move-plan.js'
import { Mover, type WayedMove, waysOf } from './mover.js'
import { openMoves } from './open-moves.js'
import { adopting } from './orphans.js'
import { reclaim } from './reclaim.js'
import type { NodeView, SlotRange } from './view.js'
import { type Moved, type MoveLimits, NOTHING_MOVED, together } from './way.js'

/** What was to be moved, and what was. */
export interface MoveResult extends Moved {
  readonly plan: readonly SlotMove[]
  readonly tookMs: number
}

/** Settings of {@link moveSlots}. */
export interface MoveSlotsOptions extends OperateOptions, MoveLimits {
  /** Ids or addresses of the primaries that give. @defaultValue all others */
  readonly from?: readonly string[] | undefined
  /** Id or address of the primary that takes. */
  readonly to: string
  /** How many, or exactly which. */
  readonly slots: number | readonly SlotRange[]
}

/** Settings of {@link rebalance}. */
export interface RebalanceOptions extends OperateOptions, MoveLimits {
  /** By id or address; 0 empties a node. @defaultValue `1` for whom it does not name */
  readonly weights?: Readonly<Record<string, number>> | undefined
}

/** A move that ends uncertainly is looked at again; what is open then is not ours. */
const ROUNDS = 5

/** Long enough for a handover that was just made to be heard everywhere, and short for one who waits for a refusal. */
const HEALTHY_MS = 5000

/**
 * Moves slots to a primary, with their keys, while everything goes on: single keys are served at every moment, calls
 * over several keys of a slot that is half moved are not. Where servers move slots by themselves (Redis 8.4, Valkey
 * 9), nothing is ever half moved: see `method`. Safe to stop anywhere and to run again: what is open or under way is
 * finished first, and slots that are there already are left alone.
 *
 * @see {@link https://redis.io/docs/latest/commands/cluster-migration/ | CLUSTER MIGRATION} of Redis
 * @see {@link https://valkey.io/commands/cluster-migrateslots/ | CLUSTER MIGRATESLOTS} of Valkey
 * @throws UnhealthyClusterError before anything is changed, or when the nodes do not agree afterwards
 * @throws KeyTooLargeError a key would hold up its server for too long; see `halfMoved` for its slot
 * @throws SlotMigrationError servers were to move slots by themselves, and somebody cancelled it, or it failed and
 * nothing but that was allowed
 * @throws ImpossibleChangeError the nodes that are to give do not have these slots, or so many
 * @throws ConfigurationError a node is none of this cluster
 *
 * @example
 * ```ts
 * import { moveSlots } from 'slotwise/cluster'
 *
 * const { plan } = await moveSlots({ nodes: ['10.0.0.1:6379'], to: '10.0.0.4:6379', slots: 4096, dryRun: true })
 * for (const { from, to, slots } of plan) console.log(from.port, to.port, slots)
 * ```
 */
export async function moveSlots(options: MoveSlotsOptions): Promise<MoveResult> {
  return await operate(options, (fleet, views) => {
    const target = fleet.find(views, options.to)
    const sources =
      options.from?.map((node) => fleet.find(views, node)) ??
      primariesOf(views).filter((view) => view !== target)
    return pick(sources, target, options.slots)
  })
}

/**
 * Gives every primary its share of the slots, by weight, with the fewest moves. Where all have theirs, nothing is done.
 *
 * @throws as {@link moveSlots} does
 *
 * @example
 * ```ts
 * import { rebalance } from 'slotwise/cluster'
 *
 * await rebalance({
 *   nodes: ['10.0.0.1:6379'],
 *   password: process.env['REDIS_PASSWORD'],
 *   onProgress: ({ step, slotsDone, slotsTotal }) => console.log(step, slotsDone, slotsTotal),
 * })
 * ```
 */
export async function rebalance(options: RebalanceOptions): Promise<MoveResult> {
  return await operate(options, (fleet, views) => {
    const weights = new Map(
      Object.entries(options.weights ?? {}).map(([node, weight]) => [
        fleet.find(views, node).self.id,
        weight,
      ]),
    )
    return balance(views, ({ self }) => weights.get(self.id) ?? 1)
  })
}

/** Makes a plan for a healthy cluster and, unless it is only to be shown, carries it out. */
async function operate(
  options: OperateOptions & MoveLimits,
  planFor: (fleet: Fleet, views: readonly NodeView[]) => readonly SlotMove[],
): Promise<MoveResult> {
  checkLimits(options)
  const began = performance.now()
  return await Fleet.with(options, async (fleet) => {
    const { views, finished } = await finishOpen(fleet, options)
    const plan = planFor(fleet, views)
    const tookMs = () => Math.round(performance.now() - began)
    const moves = await waysOf(fleet, views, plan, options)
    if (options.dryRun === true || plan.length === 0) return { ...finished, plan, tookMs: tookMs() }
    const moved = await moveAll(fleet, views, moves, options)
    return { plan, ...together(finished, moved), tookMs: tookMs() }
  })
}

/** Carries a plan out, and waits until every slot has one owner, and every node knows. */
export async function moveAll(
  fleet: Fleet,
  views: readonly NodeView[],
  moves: readonly WayedMove[],
  options: OperateOptions & MoveLimits,
): Promise<Moved> {
  const moved = await new Mover(fleet, options).run(views, moves)
  await fleet.agreed(options.timeoutMs ?? 30_000, options.signal, {
    mend: (seen) => reclaim(fleet, seen, moves),
  })
  return moved
}

/**
 * The nodes when they agree, and no slot is half moved or under way any more; a dry run leaves those as they are.
 * What was half moved goes on by the way it was begun, whatever the servers can.
 */
export async function finishOpen(
  fleet: Fleet,
  options: OperateOptions & MoveLimits,
): Promise<{ readonly views: readonly NodeView[]; readonly finished: Moved }> {
  const { signal, timeoutMs = 30_000 } = options
  const toFinish = options.dryRun !== true
  const agreement = toFinish ? { toFinish, mend: adopting(fleet) } : {}
  let views = await fleet.agreed(Math.min(timeoutMs, HEALTHY_MS), signal, agreement)
  if (!toFinish) return { views, finished: NOTHING_MOVED }
  await alone(fleet, views)
  let finished = await new Mover(fleet, options).waitForRunning(views)
  for (let round = 0; round < ROUNDS; round++) {
    views = await fleet.agreed(timeoutMs, signal, agreement)
    const open = openMoves(views).map((move) => ({ ...move, dialect: undefined }))
    if (open.length === 0) break
    finished = together(finished, await moveAll(fleet, views, open, options))
  }
  return { views, finished }
}

export function checkLimits({ maxKeyBytes = MAX_KEY_BYTES, method = 'auto' }: MoveLimits): void {
  oneOf('method', method, ['auto', 'atomic', 'classic'])
  if (maxKeyBytes !== Infinity) integer('maxKeyBytes', maxKeyBytes)
}
