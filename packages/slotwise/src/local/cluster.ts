import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { converge } from '../cluster/converge.js'
import { type Access, join as joinNode, type Member, observe } from '../cluster/observe.js'
import type { NodeView } from '../cluster/view.js'
import { ClosedError, ConfigurationError, LocalServerError } from '../errors.js'
import { integer } from '../options.js'
import { removeData } from './data-folder.js'
import { groupsOf, majorityOf, type ReachedGroups } from './groups.js'
import type { LocalCluster, LocalConnectOptions, LocalNode } from './local-cluster.js'
import type { LocalNetwork } from './network.js'
import { processInfo } from './process.js'
import type { RunningServer } from './server.js'

/** One node: where it belongs for good, and the process that runs it just now. */
interface Slot {
  running: RunningServer
  state: 'up' | 'down' | 'paused'
  id: string
  role: 'primary' | 'replica'
}

interface LocalClusterParts {
  readonly version: string
  readonly connectOptions: Omit<LocalConnectOptions, 'nodes'>
  readonly access: Access
  /** Removed by stop. */
  readonly temporary: string | undefined
  readonly network: LocalNetwork | undefined
  readonly start: (index: number, at?: { port: number; busPort: number }) => Promise<RunningServer>
  /** Called when a node was added, with all of them. */
  readonly grown: (servers: readonly RunningServer[]) => Promise<void>
  readonly onError: (error: LocalServerError) => void
}

/** Servers that are up, and what can be done to them. */
export class RunningCluster implements LocalCluster {
  readonly version: string
  readonly #parts: LocalClusterParts
  readonly #slots: Slot[] = []
  #stopped: Promise<void> | undefined

  constructor(parts: LocalClusterParts, servers: readonly RunningServer[]) {
    this.version = parts.version
    this.#parts = parts
    for (const running of servers) this.#slots.push(this.#slot(running))
  }

  get nodes(): readonly LocalNode[] {
    return this.#slots.map(describe)
  }

  get connectOptions(): LocalConnectOptions {
    return { nodes: this.nodes.map(({ host, port }) => `${host}:${port}`), ...this.#parts.connectOptions }
  }

  async kill(index: number): Promise<void> {
    const slot = this.#at(index)
    slot.state = 'down'
    await slot.running.guarded.end('SIGKILL')
  }

  async pause(index: number): Promise<void> {
    const slot = this.#living(index)
    slot.state = 'paused'
    process.kill(slot.running.guarded.pid, 'SIGSTOP')
    while (processInfo(slot.running.guarded.pid)?.stopped === false) await sleep(1)
  }

  async resume(index: number): Promise<void> {
    const slot = this.#living(index)
    process.kill(slot.running.guarded.pid, 'SIGCONT')
    while (processInfo(slot.running.guarded.pid)?.stopped === true) await sleep(1)
    slot.state = 'up'
  }

  async restart(index: number): Promise<void> {
    const slot = this.#at(index)
    if (slot.state === 'paused') await this.resume(index)
    if (slot.state === 'up') {
      slot.state = 'down'
      await slot.running.guarded.end('SIGTERM')
    }
    await this.#start(slot, index)
  }

  async restartEmpty(index: number): Promise<void> {
    const slot = this.#at(index)
    await this.kill(index)
    await removeData(slot.running.config.dir)
    await this.#start(slot, index)
  }

  async partition(
    groups: readonly (readonly number[])[],
    { clients = 'all' }: { readonly clients?: ReachedGroups | undefined } = {},
  ): Promise<void> {
    const network = this.#network()
    const groupOf = groupsOf(groups, this.#slots.length)
    network.split({ groupOf, reached: await this.#reached(groupOf, groups.length, clients) })
  }

  async isolate(index: number): Promise<void> {
    const slot = this.#at(index)
    const groupOf = this.#slots.map((other) => (other === slot ? 1 : 0))
    this.#network().split({ groupOf, reached: [0] })
  }

  async cutReplication(index: number): Promise<void> {
    this.#at(index)
    this.#network().cutReplication(index)
  }

  async heal(): Promise<void> {
    this.#network().heal()
  }

  async addNode(): Promise<LocalNode> {
    this.#refuseWhenStopped()
    if (this.#parts.network?.isSplit === true) {
      throw new ConfigurationError(
        'a node cannot be introduced to a cluster that is cut in parts: heal it first',
      )
    }
    const running = await this.#started(this.#slots.length)
    const slot = this.#slot(running)
    this.#slots.push(slot)
    await this.#parts.grown(this.#slots.map((each) => each.running))
    await this.whenHealthy()
    return describe(slot)
  }

  async whenHealthy({
    timeoutMs = 30_000,
    signal,
  }: {
    readonly timeoutMs?: number
    readonly signal?: AbortSignal
  } = {}): Promise<void> {
    this.#refuseWhenStopped()
    const deadline = performance.now() + timeoutMs
    await this.withMembers(async (members) => {
      this.learn((await converge(members, { deadline, signal })).views)
    })
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#end()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Connections to all servers that run, for as long as `use` takes. */
  async withMembers<R>(use: (members: readonly Member[]) => Promise<R>): Promise<R> {
    const up = this.#slots.filter(({ state }) => state === 'up')
    const joined = await Promise.allSettled(
      up.map(({ running }) => joinNode({ host: '127.0.0.1', port: running.config.port }, this.#parts.access)),
    )
    const members = joined.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    try {
      for (const result of joined) if (result.status === 'rejected') throw result.reason
      return await use(members)
    } finally {
      for (const { client } of members) client.close()
    }
  }

  learn(views: readonly NodeView[]): void {
    for (const view of views) {
      const slot = this.#slots.find(({ running }) => running.config.port === view.port)
      if (slot === undefined) continue
      slot.id = view.self.id
      slot.role = view.self.primary === undefined ? 'primary' : 'replica'
    }
  }

  async #reached(
    groupOf: readonly number[],
    count: number,
    clients: ReachedGroups,
  ): Promise<readonly number[]> {
    if (clients === 'all') return [...groupOf]
    if (clients !== 'majority') return [integer('clients', clients, { min: 0, max: count - 1 })]
    const views = await this.withMembers((members) => Promise.all(members.map(observe)))
    const ids = this.#slots.map(({ id }) => id)
    return [
      majorityOf(
        groupOf,
        ids,
        views.filter((view) => view !== undefined),
      ),
    ]
  }

  #network(): LocalNetwork {
    this.#refuseWhenStopped()
    if (this.#parts.network !== undefined) return this.#parts.network
    throw new ConfigurationError('start this cluster with networkFaults: true to cut its network')
  }

  async #start(slot: Slot, index: number): Promise<void> {
    slot.running = await this.#started(index, slot.running.config)
    slot.state = 'up'
    void this.#watch(slot)
  }

  async #started(index: number, at?: RunningServer['config']): Promise<RunningServer> {
    const running = await this.#parts.start(index, at)
    if (this.#stopped === undefined) return running
    // Stopped meanwhile: whoever waits for that believes that nothing runs any more.
    await running.guarded.stop()
    throw new ClosedError('this cluster was stopped')
  }

  #slot(running: RunningServer): Slot {
    const slot: Slot = { running, state: 'up', id: '', role: 'primary' }
    void this.#watch(slot)
    return slot
  }

  /** A server that ends without having been asked to is a failure that somebody has to hear of. */
  async #watch({ running }: Slot): Promise<void> {
    const code = await running.guarded.exited
    const slot = this.#slots.find((each) => each.running === running)
    if (slot === undefined || slot.state === 'down' || this.#stopped !== undefined) return
    slot.state = 'down'
    const log = await running.lastLines()
    this.#parts.onError(
      new LocalServerError(
        `the server on port ${running.config.port} ended by itself (${code === null ? 'its guard was killed' : `code ${code}`})`,
        {
          log,
        },
      ),
    )
  }

  #at(index: number): Slot {
    this.#refuseWhenStopped()
    const slot = this.#slots[index]
    if (slot) return slot
    throw new ConfigurationError(`there is no node ${index}: nodes are 0 to ${this.#slots.length - 1}`)
  }

  #living(index: number): Slot {
    const slot = this.#at(index)
    if (slot.state !== 'down') return slot
    throw new ConfigurationError(`node ${index} does not run: restart it first`)
  }

  #refuseWhenStopped(): void {
    if (this.#stopped !== undefined) throw new ClosedError('this cluster was stopped')
  }

  async #end(): Promise<void> {
    await Promise.all(this.#slots.map(({ running }) => running.guarded.stop()))
    const { temporary, network } = this.#parts
    network?.close()
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true, maxRetries: 3 })
  }
}

function describe({ id, role, running: { config, guarded } }: Slot): LocalNode {
  const { port: directPort, announced } = config
  return { id, host: '127.0.0.1', port: announced?.port ?? directPort, directPort, role, pid: guarded.pid }
}
