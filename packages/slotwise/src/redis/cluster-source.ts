import { ConfigurationError, ReplyError, UnexpectedReplyError } from '../errors.js'
import { SLOTS } from '../slots.js'
import { addressOf, endpointOf } from './address.js'
import { unreachable } from './connect-errors.js'
import type { Mode } from './connect-options.js'
import type { Endpoint } from './link.js'
import type { ClusterNode, Reply } from './port.js'
import type { NodeView } from './topology.js'
import { readClusterNodes } from './topology.js'
import type { Look, TopologySource } from './topology-watch.js'

export interface ClusterSourceSettings {
  readonly mode: Mode
  /** How long one node may take to say what it knows. */
  readonly timeoutMs: number
  readonly seeds: readonly Endpoint[]
  /** Asks `host:port` for CLUSTER NODES. */
  readonly ask: (address: string, timeoutMs: number) => Promise<Reply>
  readonly isReady: (address: string) => boolean
  /** What it says can be believed: nodes in doubt are, once one of these has been heard. */
  readonly isCertain: (address: string) => boolean
  readonly addressOf: (node: ClusterNode) => string
}

/** Nodes asked at once, and how many answers are enough: a node that hangs must not hold up the others' news. */
const ASKED = 3
const ENOUGH = 2
/** What the other seeds get to contradict the first one that answered. */
const GRACE_MS = 500
/** What nodes that were introduced a moment ago get to hear of each other. */
const PATIENCE_MS = 500
const APART_MS = 50

/** Who owns what as the nodes of a cluster tell it themselves, or a single server, which owns everything. */
export class ClusterSource implements TopologySource {
  readonly #settings: ClusterSourceSettings
  isFixed = false

  constructor(settings: ClusterSourceSettings) {
    this.#settings = settings
  }

  async first(timeoutMs: number): Promise<readonly (readonly NodeView[])[]> {
    const { seeds } = this.#settings
    const answers: Answer[] = []
    const questions = seeds.map(async (seed) => {
      const views = await this.#firstView(seed, timeoutMs)
      answers.push({ address: addressOf(seed), views })
    })
    await Promise.any(questions).catch((error: unknown) => {
      throw unreachable(seeds.map(addressOf), error instanceof AggregateError ? error.errors : [error])
    })
    // A wrong address among right ones would otherwise decide by chance which cluster is written to.
    await Promise.race([Promise.allSettled(questions), after(GRACE_MS)])
    const until = performance.now() + Math.min(timeoutMs, PATIENCE_MS)
    for (;;) {
      const other = apartIn(answers)
      if (other === undefined) return serving(answers).map(({ views }) => views)
      // Nodes that have only just met take each other for strangers.
      if (this.isFixed || performance.now() > until) throw severalClusters(other, this.isFixed)
      await after(APART_MS)
      const again = serving(answers).map(async ({ address }) => ({
        address,
        views: await this.#view(address, timeoutMs),
      }))
      answers.splice(0, answers.length, ...(await Promise.all(again)))
    }
  }

  /** Resolves with the first few answers; with none when nobody answers in time. Never rejects. */
  look(known: readonly ClusterNode[]): Promise<Look> {
    const { timeoutMs, isReady, isCertain, seeds } = this.#settings
    const addresses = known.map((node) => this.#settings.addressOf(node))
    const reached = shuffled(addresses.filter(isReady))
    // Among many nodes, chance would seldom meet the first few that are believed again after this process stood still.
    const ready = [...new Set([...reached.filter(isCertain).slice(0, 1), ...reached])].slice(0, ASKED)
    const asked =
      ready.length >= ENOUGH ? ready : [...new Set([...ready, ...addresses, ...seeds.map(addressOf)])]
    // Without their word, nodes in doubt stay so, however many others have answered.
    const sure = asked.filter(isCertain)
    const answered = new Set<string>()
    const unknown = new Set<string>()
    return new Promise((resolve) => {
      const views: (readonly NodeView[])[] = []
      const strangers: (readonly NodeView[])[] = []
      let left = asked.length
      const ended = () => {
        left--
        const isSure = sure.length === 0 || sure.some((address) => answered.has(address))
        if (views.length >= ENOUGH && isSure) resolve({ views, answered, strangers: unknown })
        // Where nobody knows any of our nodes, the cluster was made anew at its old addresses.
        else if (left === 0)
          resolve({ views: views.length > 0 ? views : strangers, answered, strangers: unknown })
      }
      for (const address of asked) {
        const asking = this.#view(address, timeoutMs).then((view) => {
          // One that has been reset or never met the others has nothing to say about them.
          const isOurs = known.length === 0 || known.some(({ id }) => view.some((node) => node.id === id))
          ;(isOurs ? views : strangers).push(view)
          ;(isOurs ? answered : unknown).add(address)
        })
        void asking.catch(() => undefined).finally(ended)
      }
      if (left === 0) resolve({ views, answered, strangers: unknown })
    })
  }

  close(): void {}

  async #firstView(seed: Endpoint, timeoutMs: number): Promise<readonly NodeView[]> {
    const { mode } = this.#settings
    const address = addressOf(seed)
    try {
      const views = await this.#view(address, timeoutMs)
      if (mode !== 'standalone') return views
      throw new ConfigurationError(`${address} is a node of a cluster: use mode 'cluster', or 'auto'`)
    } catch (error) {
      if (!(error instanceof ReplyError) || !/cluster support disabled/i.test(error.message)) throw error
      if (mode === 'cluster') {
        throw new ConfigurationError(
          `${address} is a standalone server and mode is 'cluster': start it with cluster-enabled yes, or use mode 'standalone' or 'auto'`,
          { cause: error },
        )
      }
      // One node that owns every slot is what a server without a cluster is.
      this.isFixed = true
      const slots = [[0, SLOTS - 1]] as const
      return [{ id: address, ...seed, role: 'primary', epoch: 0, failed: false, isSelf: true, slots }]
    }
  }

  async #view(address: string, timeoutMs: number): Promise<readonly NodeView[]> {
    const reply = await this.#settings.ask(address, timeoutMs)
    const view = typeof reply === 'string' ? readClusterNodes(reply, endpointOf(address).host) : []
    if (view.length > 0) return view
    throw new UnexpectedReplyError(`${address} does not answer CLUSTER NODES as a Redis server does`)
  }
}

interface Answer {
  readonly address: string
  readonly views: readonly NodeView[]
}

/** Those that have something to say: one without slots was never in the cluster, or was taken out of it. */
function serving(answers: readonly Answer[]): readonly Answer[] {
  const some = answers.filter(({ views }) => views.some(({ slots }) => slots.length > 0))
  return some.length > 0 ? some : answers.slice(0, 1)
}

/** Two seeds that know nothing of each other. */
function apartIn(answers: readonly Answer[]): readonly [string, string] | undefined {
  const [first, ...rest] = serving(answers)
  if (first === undefined) return undefined
  const other = rest.find(({ views }) => !views.some(({ id }) => first.views.some((node) => node.id === id)))
  return other && [first.address, other.address]
}

function severalClusters([one, other]: readonly [string, string], isStandalone: boolean): ConfigurationError {
  const what = isStandalone ? 'servers without a common cluster' : 'nodes of different clusters'
  return new ConfigurationError(`${one} and ${other} are ${what}: name nodes of one`)
}

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref())

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
