import { setTimeout as sleep } from 'node:timers/promises'
import { OutcomeUnknownError, RedisUnavailableError, ReplyError } from '../errors.js'
import type { WireCommand } from '../redis/wire.js'
import { refuseForeign } from './judge.js'
import { type Member, observe } from './observe.js'
import { plan } from './plan.js'
import { unsettled } from './settled.js'
import { type NodeView, slotCount } from './view.js'

interface ConvergeOptions {
  /** How many primaries there are to be; without it nodes are introduced to each other and keep their roles. */
  readonly primaries?: number | undefined
  /** On the clock of `performance.now()`. */
  readonly deadline: number
  readonly onProgress?: ((step: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The nodes when all agreed, and what was done. */
export interface Converged {
  readonly views: readonly NodeView[]
  readonly done: { readonly met: number; readonly slotsAssigned: number; readonly replicasAttached: number }
}

const PAUSE_MS = 20
/** A node that was asked to meet another one gives up after its node timeout; before that, asking again is noise. */
const MEET_AGAIN_MS = 500

/**
 * Looks at all nodes, does what is missing, and looks again, until they are one cluster. There is no step that
 * must not be interrupted and none that relies on an earlier one having been ours, so it may stop anywhere.
 */
export async function converge(members: readonly Member[], options: ConvergeOptions): Promise<Converged> {
  const { primaries, deadline, onProgress = () => {}, signal } = options
  const done = { met: 0, slotsAssigned: 0, replicasAttached: 0 }
  const asked = new Map<string, number>()
  const said = new Set<string>()
  const say = (step: string) => {
    if (!said.has(step)) onProgress(step)
    said.add(step)
  }
  /** Does what is missing; true when there was nothing to do. */
  const act = async (views: readonly NodeView[]): Promise<boolean> => {
    if (primaries !== undefined) {
      refuseForeign(views, primaries)
      const { slots, follow } = plan(views, primaries)
      if (slots.size > 0) say('sharing out the slots')
      done.slotsAssigned += await assign(members, views, slots, signal)
      if (follow.size > 0) say('attaching replicas')
      // Refused while the replica has not heard of its primary, which the next round will try again.
      done.replicasAttached += await attach(members, views, follow, signal)
      if (slots.size + follow.size > 0) return await meet(views, false)
    }
    return await meet(views, true)
  }
  const meet = async (views: readonly NodeView[], idle: boolean): Promise<boolean> => {
    const meetings = introductions(views, asked)
    if (meetings.size > 0) say('introducing the nodes to each other')
    done.met += await send(members, views, meetings, signal)
    return idle && meetings.size === 0
  }
  for (;;) {
    signal?.throwIfAborted()
    const views = await lookAt(members)
    let missing: string | undefined = 'a node is still reading its data'
    if (views !== undefined) {
      missing = unsettled(views)
      const idle = await act(views)
      if (missing === undefined && idle) return { views, done }
    }
    say('waiting until all nodes agree')
    if (performance.now() > deadline) {
      throw new RedisUnavailableError(`the nodes did not become one cluster in time: ${missing}`, {
        node: members[0]?.client.node,
      })
    }
    await sleep(PAUSE_MS)
  }
}

async function lookAt(members: readonly Member[]): Promise<readonly NodeView[] | undefined> {
  try {
    const views = await Promise.all(members.map(observe))
    return views.every((view) => view !== undefined) ? views : undefined
  } catch (error) {
    if (!(error instanceof OutcomeUnknownError)) throw error
    throw new RedisUnavailableError(error.message, { node: error.node, cause: error })
  }
}

async function assign(
  members: readonly Member[],
  views: readonly NodeView[],
  slots: ReadonlyMap<string, readonly (readonly [number, number])[]>,
  signal: AbortSignal | undefined,
): Promise<number> {
  // Epochs that differ from the start spare the nodes from having to settle them.
  const highest = Math.max(
    0,
    ...views.flatMap(({ self, others }) => [self, ...others.values()].map((line) => line.epoch)),
  )
  const commands = new Map<string, WireCommand[]>()
  for (const [index, [id, ranges]] of [...slots].entries()) {
    const view = views.find(({ self }) => self.id === id)
    const fresh = view?.self.epoch === 0 && view.others.size === 0
    commands.set(id, [
      ...(fresh ? [['CLUSTER', 'SET-CONFIG-EPOCH', highest + index + 1] as const] : []),
      ['CLUSTER', 'ADDSLOTSRANGE', ...ranges.flat()],
    ])
  }
  await send(members, views, commands, signal)
  return [...slots.values()].reduce((sum, ranges) => sum + slotCount(ranges), 0)
}

async function attach(
  members: readonly Member[],
  views: readonly NodeView[],
  follow: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const commands = new Map<string, WireCommand[]>()
  for (const [replica, primary] of follow) {
    const view = views.find(({ self }) => self.id === replica)
    if (view?.others.has(primary)) commands.set(replica, [['CLUSTER', 'REPLICATE', primary]])
  }
  return await send(members, views, commands, signal)
}

/**
 * Every pair, both ways: waiting for gossip to spread takes seconds. A link that is merely down mends itself;
 * one to where its node no longer is does not.
 */
function introductions(
  views: readonly NodeView[],
  asked: Map<string, number>,
): ReadonlyMap<string, WireCommand[]> {
  const commands = new Map<string, WireCommand[]>()
  const now = performance.now()
  for (const view of views) {
    for (const { self, meetAt } of views) {
      if (self === view.self) continue
      const seen = view.others.get(self.id)
      const lost = seen !== undefined && !seen.connected
      const moved =
        lost && (seen.host !== meetAt.host || seen.port !== meetAt.port || seen.flags.includes('noaddr'))
      const pair = `${view.self.id} ${self.id}`
      if ((seen !== undefined && !moved) || now - (asked.get(pair) ?? -Infinity) < MEET_AGAIN_MS) continue
      asked.set(pair, now)
      const list = commands.get(view.self.id) ?? []
      list.push(['CLUSTER', 'MEET', meetAt.host, meetAt.port, meetAt.busPort])
      commands.set(view.self.id, list)
    }
  }
  return commands
}

/** How many of the commands were accepted. Refusals are the next round's to judge by what it sees then. */
async function send(
  members: readonly Member[],
  views: readonly NodeView[],
  commands: ReadonlyMap<string, readonly WireCommand[]>,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted()
  const counts = await Promise.all(
    members.map(async ({ client }, index) => {
      const list = commands.get(views[index]?.self.id ?? '') ?? []
      if (list.length === 0) return 0
      const replies = await client.pipeline(list)
      return replies.filter((reply) => !(reply instanceof ReplyError)).length
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}
