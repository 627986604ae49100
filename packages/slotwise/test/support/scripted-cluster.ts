import { createServer, type Server, type Socket } from 'node:net'
import { rangesOf } from '../../src/cluster/move-plan.js'
import { slotsOf } from '../../src/cluster/view.js'
import { RespParser } from '../../src/redis/resp.js'
import { SLOTS, slotOf } from '../../src/slots.js'
import { type ScriptedMigrations, scriptedRedis, scriptedValkey } from './scripted-migrations.js'

/** What a scripted node answers with: text as a bulk string, `{ ok }` as a status, errors as errors. */
export type Answer = string | number | null | Error | { readonly ok: string } | readonly Answer[]

/**
 * A node of a cluster that is played, not run. It knows the commands that the operations on a cluster send, with the
 * refusals of real servers in their words, and nothing of what real servers do by themselves: no bus, no replicas, no
 * elections. Every node sees every change at once.
 */
export class ScriptedNode {
  readonly id: string
  readonly owned = new Set<number>()
  readonly keys = new Set<string>()
  readonly migrating = new Map<number, string>()
  readonly importing = new Map<number, string>()
  readonly migrations: ScriptedMigrations | undefined
  /** Every command, as it came. */
  readonly log: string[] = []
  /** Names of commands that the user may not run, such as `CLUSTER|MIGRATION`. */
  readonly forbidden = new Set<string>()
  /** Whether the others list it. */
  isKnown = true
  /** Whose replica all nodes take it for. */
  follows: ScriptedNode | undefined
  promotedFrom = '0'.repeat(40)
  epoch: number
  /** What it answers to a command instead of carrying it out. */
  instead: (line: string) => Answer | undefined = () => undefined
  /** What it waits for before it looks at a command, and at those that come behind it on that connection. */
  gate: (line: string) => Promise<void> | undefined = () => undefined
  port = 0
  readonly #cluster: ScriptedCluster
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Session>()

  constructor(cluster: ScriptedCluster, index: number, dialect: Dialect) {
    this.#cluster = cluster
    this.epoch = index + 1
    this.id = String(index + 1)
      .repeat(40)
      .slice(0, 40)
    if (dialect === 'redis') this.migrations = scriptedRedis(this, cluster)
    if (dialect === 'valkey') this.migrations = scriptedValkey(this, cluster)
    this.#server = createServer((socket) => this.#serve(socket))
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    if (typeof address === 'object' && address !== null) this.port = address.port
  }

  /** As when the network breaks: what it was doing goes on. */
  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cutConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  countIn(slot: number): number {
    return this.keysIn(slot).length
  }

  keysIn(slot: number): string[] {
    return [...this.keys].filter((key) => knownSlot(key) === slot)
  }

  /** What a key takes in memory. */
  bytes: (key: string) => number = (key) => key.length + 50

  /** What it has heard of the slots of a node, itself included. */
  hears: (node: ScriptedNode) => ReadonlySet<number> = (node) => node.owned

  /** How often a command came, by how it begins. */
  asked(prefix: string): number {
    return this.log.filter((line) => line.startsWith(prefix)).length
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    const session = { name: '', queued: undefined as string[][] | undefined }
    this.#sessions.add(session)
    socket.on('close', () => this.#sessions.delete(session))
    let before: Promise<void> | undefined
    const parser = new RespParser((command) => {
      const words = Array.isArray(command) ? command.map(String) : []
      const answer = () => {
        socket.write(encoded(this.#inSession(session, words)))
      }
      const gate = this.gate(words.join(' '))
      if (before === undefined && gate === undefined) return answer()
      const mine = Promise.all([before, gate]).then(() => {
        answer()
        if (before === mine) before = undefined
      })
      before = mine
    })
    socket.on('data', (chunk) => parser.push(chunk))
  }

  #inSession(session: Session, words: string[]): Answer {
    const [name = '', second, value = ''] = words
    if (name === 'MULTI') session.queued = []
    else if (name === 'EXEC') {
      const queued = session.queued ?? []
      session.queued = undefined
      return queued.map((one) => this.#inSession(session, one))
    } else if (session.queued !== undefined) {
      session.queued.push(words)
      return { ok: 'QUEUED' }
    } else if (name === 'CLIENT' && second === 'SETNAME') session.name = value
    else if (name === 'CLIENT') {
      return [...this.#sessions]
        .map((one, id) => `id=${id} addr=127.0.0.1:1 name=${one.name} age=1 \n`)
        .join('')
    } else return this.#answer(words)
    return { ok: 'OK' }
  }

  #answer(words: readonly string[]): Answer {
    const line = words.join(' ')
    this.log.push(line)
    const instead = this.instead(line)
    if (instead !== undefined) return instead
    const [name = '', second = '', ...rest] = words
    const container = `${name}|${second}`.toUpperCase()
    if (this.forbidden.has(container) || this.forbidden.has(name.toUpperCase())) {
      return new Error(
        `NOPERM User default has no permissions to run the '${container.toLowerCase()}' command`,
      )
    }
    if (container.startsWith('CLUSTER|')) return this.#clusterCommand(second.toUpperCase(), rest)
    switch (name.toUpperCase()) {
      case 'PING':
        return { ok: 'PONG' }
      case 'INFO':
        return INFO[second]?.(this) ?? ''
      case 'CONFIG':
        return []
      case 'DBSIZE':
        return this.keys.size
      case 'COMMAND':
        // An unknown name is a null in the list.
        return rest.map((one) => (one === this.migrations?.command ? [one, -4, []] : null))
      case 'MEMORY':
        return this.keys.has(rest[0] ?? '') ? this.bytes(rest[0] ?? '') : null
      case 'MIGRATE':
        return this.#migrate(second, Number(rest[0]), words.slice(words.indexOf('KEYS') + 1))
    }
    return new Error(`ERR unknown command '${name}'`)
  }

  #clusterCommand(name: string, args: readonly string[]): Answer {
    const slot = Number(args[0])
    switch (name) {
      case 'NODES':
        return this.#nodes()
      case 'INFO':
        return `cluster_state:ok\r\ncluster_current_epoch:${this.#cluster.epochKnown}\r\ncluster_my_epoch:${this.epoch}\r\n${this.migrations?.info() ?? ''}`
      case 'COUNTKEYSINSLOT':
        return this.countIn(slot)
      case 'GETKEYSINSLOT':
        return this.keysIn(slot).slice(0, Number(args[1]))
      case 'SETSLOT':
        return this.#setSlot(slot, args[1]?.toUpperCase() ?? '', args[2] ?? '')
      case 'FORGET':
      case 'RESET':
        return { ok: 'OK' }
    }
    return (
      this.migrations?.answer(name, args) ?? new Error(`ERR unknown subcommand '${name}'. Try CLUSTER HELP.`)
    )
  }

  #setSlot(slot: number, state: string, peer: string): Answer {
    if (state === 'MIGRATING') {
      if (!this.owned.has(slot)) return new Error(`ERR I'm not the owner of hash slot ${slot}`)
      this.migrating.set(slot, peer)
    } else if (state === 'IMPORTING') {
      if (this.owned.has(slot)) return new Error(`ERR I'm already the owner of hash slot ${slot}`)
      this.importing.set(slot, peer)
    } else if (state === 'STABLE') {
      this.migrating.delete(slot)
      this.importing.delete(slot)
    } else {
      if (this.owned.has(slot) && peer !== this.id && this.countIn(slot) > 0) {
        return new Error(
          `ERR Can't assign hashslot ${slot} to a different node while I still hold keys for this hash slot.`,
        )
      }
      this.migrating.delete(slot)
      this.importing.delete(slot)
      this.#cluster.assign([slot], peer)
    }
    return { ok: 'OK' }
  }

  #migrate(_host: string, port: number, keys: readonly string[]): Answer {
    const present = keys.filter((key) => this.keys.delete(key))
    const target = this.#cluster.nodes.find((node) => node.port === port)
    for (const key of present) target?.keys.add(key)
    return { ok: present.length === 0 ? 'NOKEY' : 'OK' }
  }

  #nodes(): string {
    const listed = this.#cluster.nodes.filter((node) => node.isKnown || node === this)
    const lines = listed.map((node) => {
      const role = node.follows === undefined ? 'master' : 'slave'
      const flags = node === this ? `myself,${role}` : role
      const slots = rangesOf([...this.hears(node)]).map(([first, last]) =>
        first === last ? first : `${first}-${last}`,
      )
      const open =
        node === this
          ? [
              ...[...this.migrating].map(([slot, peer]) => `[${slot}->-${peer}]`),
              ...[...this.importing].map(([slot, peer]) => `[${slot}-<-${peer}]`),
            ]
          : []
      const head = `${node.id} 127.0.0.1:${node.port}@${node.port + 10_000} ${flags} ${node.follows?.id ?? '-'} 0 0 ${node.epoch} connected`
      return [head, ...slots, ...open].join(' ')
    })
    return `${lines.join('\n')}\n`
  }
}

interface Session {
  name: string
  queued: string[][] | undefined
}

type Dialect = 'redis' | 'valkey' | 'none'

const INFO: Readonly<Record<string, (node: ScriptedNode) => string>> = {
  server: () => 'redis_version:7.2.4\r\n',
  cluster: () => 'cluster_enabled:1\r\n',
  replication: (node) => `role:master\r\nmaster_replid2:${node.promotedFrom}\r\n`,
}

/** Primaries that share all slots, each of the dialect that is named for it. */
export class ScriptedCluster implements AsyncDisposable {
  readonly nodes: readonly ScriptedNode[]
  /** The highest epoch that any node has heard of. */
  epochKnown = 1000

  private constructor(dialects: readonly Dialect[]) {
    this.nodes = dialects.map((dialect, i) => new ScriptedNode(this, i, dialect))
  }

  static async start(...dialects: readonly Dialect[]): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(dialects)
    await Promise.all(cluster.nodes.map((node) => node.listen()))
    const share = Math.ceil(SLOTS / dialects.length)
    for (const [i, node] of cluster.nodes.entries()) {
      cluster.assign(slotsOf([[i * share, Math.min(SLOTS, (i + 1) * share) - 1]]), node.id)
    }
    return cluster
  }

  /** `host:port` of each. */
  get addresses(): readonly string[] {
    return this.nodes.map(({ port }) => `127.0.0.1:${port}`)
  }

  node(index: number): ScriptedNode {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }

  byId(id: string): ScriptedNode | undefined {
    return this.nodes.find((node) => node.id === id)
  }

  assign(slots: readonly number[], id: string): void {
    for (const node of this.nodes) {
      for (const slot of slots) {
        if (node.id === id) node.owned.add(slot)
        else node.owned.delete(slot)
      }
    }
  }

  /** Keys and ownership at once. */
  handOver(slots: readonly number[], from: ScriptedNode, to: ScriptedNode): void {
    const wanted = new Set(slots)
    for (const key of from.keys) {
      if (!wanted.has(slotOf(key))) continue
      from.keys.delete(key)
      to.keys.add(key)
    }
    this.assign(slots, to.id)
  }

  /** A key in every one of the slots, at whoever owns it. */
  fill(slots: readonly number[]): void {
    const wanted = new Set(slots)
    for (let i = 0; wanted.size > 0; i++) {
      const key = `key:${i}`
      if (!wanted.delete(slotOf(key))) continue
      this.nodes.find((node) => node.owned.has(slotOf(key)))?.keys.add(key)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()))
  }
}

const slots = new Map<string, number>()

/** Computed once a key: nodes look through all their keys for every answer. */
function knownSlot(key: string): number {
  const known = slots.get(key)
  if (known !== undefined) return known
  const slot = slotOf(key)
  slots.set(key, slot)
  return slot
}

function encoded(answer: Answer): string {
  if (answer === null) return '$-1\r\n'
  if (answer instanceof Error) return `-${answer.message}\r\n`
  if (typeof answer === 'number') return `:${answer}\r\n`
  if (typeof answer === 'string') return `$${Buffer.byteLength(answer)}\r\n${answer}\r\n`
  if ('ok' in answer) return `+${answer.ok}\r\n`
  return `*${answer.length}\r\n${answer.map(encoded).join('')}`
}
