import { integer } from '../options.js'
import { Fleet, type OperateOptions, placeOf, primariesOf } from './fleet.js'
import { balance, pick, rangesOf, type SlotMove } from './move-plan.js'
import { MAX_KEY_BYTES, type Moved, type MoveLimits, Mover } from './mover.js'
import type { NodeView, SlotRange } from './view.js'

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

/** Long enough for a handover that was just made to be heard everywhere, and short for one who waits for a refusal. */
const HEALTHY_MS = 5000

/**
 * Moves slots to a primary, with their keys, while everything goes on: single keys are served at every moment, calls
 * over several keys of a slot that is half moved are not. Safe to stop anywhere and to run again: what is open is
 * finished first, and slots that are there already are left alone.
 *
 * @throws UnhealthyClusterError before anything is changed, or when the nodes do not agree afterwards
 * @throws KeyTooLargeError a key would hold up its server for too long; its slot has not been touched
 * @throws ConfigurationError a node or slot is not what it is taken for
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
    if (options.dryRun === true || plan.length === 0) return { ...finished, plan, tookMs: tookMs() }
    const moved = await moveAll(fleet, views, plan, options)
    return {
      plan,
      slotsMoved: finished.slotsMoved + moved.slotsMoved,
      keysMoved: finished.keysMoved + moved.keysMoved,
      tookMs: tookMs(),
    }
  })
}

/** Carries a plan out, and waits until every node knows. */
export async function moveAll(
  fleet: Fleet,
  views: readonly NodeView[],
  plan: readonly SlotMove[],
  options: OperateOptions & MoveLimits,
): Promise<Moved> {
  const moved = await new Mover(fleet, options).run(views, plan)
  await fleet.agreed(options.timeoutMs ?? 30_000, options.signal)
  return moved
}

/** The nodes when they agree, and no slot is half moved any more; a dry run leaves those as they are. */
export async function finishOpen(
  fleet: Fleet,
  options: OperateOptions & MoveLimits,
): Promise<{ readonly views: readonly NodeView[]; readonly finished: Moved }> {
  const views = await fleet.agreed(Math.min(options.timeoutMs ?? 30_000, HEALTHY_MS), options.signal)
  const open = openMoves(views)
  if (open.length === 0 || options.dryRun === true)
    return { views, finished: { slotsMoved: 0, keysMoved: 0 } }
  const finished = await moveAll(fleet, views, open, options)
  return { views: await fleet.look(), finished }
}

/** Slots that are half moved, as moves of what is left of them. */
function openMoves(views: readonly NodeView[]): readonly SlotMove[] {
  const byId = new Map(views.map((view) => [view.self.id, view]))
  const pairs = new Map<string, { from: NodeView; to: NodeView; slots: Set<number> }>()
  for (const view of views) {
    for (const { slot, state, peer } of view.self.open) {
      const other = byId.get(peer)
      if (other === undefined) continue
      const [from, to] = state === 'migrating' ? [view, other] : [other, view]
      // Owned by its target already: the source will hear of it.
      if (!from.self.slots.some(([first, last]) => slot >= first && slot <= last)) continue
      const pair = pairs.get(`${from.self.id} ${to.self.id}`) ?? { from, to, slots: new Set() }
      pair.slots.add(slot)
      pairs.set(`${from.self.id} ${to.self.id}`, pair)
    }
  }
  return [...pairs.values()].map(({ from, to, slots }) => ({
    from: placeOf(from),
    to: placeOf(to),
    slots: rangesOf([...slots]),
  }))
}

function checkLimits({ maxKeyBytes = MAX_KEY_BYTES }: MoveLimits): void {
  if (maxKeyBytes !== Infinity) integer('maxKeyBytes', maxKeyBytes)
}
