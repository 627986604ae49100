import { execFile, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Guarded, startGuarded } from '../../../packages/slotwise/src/local/guard.js'
import { freePorts } from '../../../packages/slotwise/src/local/ports.js'
import { WireClient } from '../../../packages/slotwise/src/redis/wire.js'
import { DEPLOY, type ReadOptions, readCompose } from './compose.js'
import type { Compose } from './compose-model.js'
import { type Container, layOut } from './container.js'
import { layTools } from './tools.js'

const run = promisify(execFile)

/** Who knows a password. */
export type User = 'app' | 'ops' | 'repl' | 'monitor'

/** How a one-shot ended. */
export interface Ended {
  readonly code: number | null
  readonly output: string
}

const HEALTHY_MS = 15_000

/**
 * What a Compose file describes, run as plain processes of this machine: entrypoints, commands, health checks and
 * one-shots as they are written, with folders of ours for what they mount and, on Linux, an address of 127.0.0.0/8 for
 * each container. What only an engine does (limits of memory, capabilities, networks that are apart) is not tried.
 */
export class Stack implements AsyncDisposable {
  readonly folder: string
  readonly #options: ReadOptions
  readonly #tools: Readonly<Record<string, string>>
  readonly #ports: Readonly<Record<string, string>>
  readonly #running = new Map<string, Guarded>()
  readonly #containers = new Map<string, Container>()
  #subnet: string
  compose: Compose

  static async open(options: ReadOptions = {}): Promise<Stack> {
    const folder = await mkdtemp(join(tmpdir(), 'slotwise-deploy-'))
    await mkdir(join(folder, 'volumes'))
    const tools = await layTools(join(folder, 'bin'))
    await run('sh', [join(DEPLOY, 'make-secrets.sh'), join(folder, 'secrets')])
    const ports = await freeTens()
    const { REDIS_MORE_NODES: more, ...environment } = options.environment ?? {}
    // As durable.env says to do where the ports are others.
    const moved = more?.replaceAll(/:700(\d)/g, `:${ports['REDIS_PORTS']}$1`)
    const given = { ...environment, ...(moved === undefined ? {} : { REDIS_MORE_NODES: moved }) }
    return new Stack(folder, { ...options, environment: given }, tools, ports)
  }

  private constructor(
    folder: string,
    options: ReadOptions,
    tools: Readonly<Record<string, string>>,
    ports: Readonly<Record<string, string>>,
  ) {
    this.folder = folder
    this.#options = options
    this.#tools = tools
    this.#ports = ports
    this.#subnet = subnet()
    this.compose = this.#read()
  }

  /** Where a container is reached. */
  hostOf(name: string): string {
    return this.#hosts().get(name) ?? '127.0.0.1'
  }

  /** `host:port` of the nodes whose names begin so. */
  nodes(prefix = 'redis-'): readonly string[] {
    return this.#named(prefix).map((name) => `${this.hostOf(name)}:${this.portOf(name)}`)
  }

  portOf(name: string): number {
    return Number(this.compose.services[name]?.environment?.['NODE_PORT'])
  }

  pidOf(name: string): number {
    return this.#running.get(name)?.pid ?? 0
  }

  async container(name: string): Promise<Container> {
    const known = this.#containers.get(name)
    if (known !== undefined) return known
    const service = this.compose.services[name]
    if (service === undefined) throw new Error(`there is no service ${name}`)
    const container = await layOut(this.compose, name, service, {
      folder: join(this.folder, 'containers'),
      volumes: join(this.folder, 'volumes'),
      hosts: this.#hosts(),
      tools: this.#tools,
    })
    this.#containers.set(name, container)
    return container
  }

  password(user: User): Promise<string> {
    return readFile(join(this.folder, 'secrets', `redis_${user}`), 'utf8')
  }

  /** The folder of a node that stays. */
  dataOf(name: string): string {
    return join(this.folder, 'volumes', name)
  }

  /** A connection to one node, as one of the users. */
  async client(
    name: string,
    user: User,
    more: { readonly tls?: { readonly ca: string } } = {},
  ): Promise<WireClient> {
    const at = { host: this.hostOf(name), port: this.portOf(name) }
    return await WireClient.connect({
      ...at,
      ...more,
      username: user,
      password: await this.password(user),
      timeoutMs: 5000,
    })
  }

  /** Starts nodes, and resolves when each says by its own health check that it is well. */
  async start(prefix = 'redis-'): Promise<void> {
    await Promise.all(this.#named(prefix).map((name) => this.#start(name)))
  }

  async stop(prefix = 'redis-'): Promise<void> {
    const names = this.#named(prefix)
    await Promise.all(names.map(async (name) => await this.#running.get(name)?.end('SIGTERM')))
    for (const name of names) this.#running.delete(name)
  }

  /** Every container gets another address, as in a network that was made anew. The nodes must be stopped. */
  readdress(): void {
    this.#subnet = subnet()
    this.#containers.clear()
    this.compose = this.#read()
  }

  /** Runs a one-shot to its end, which it takes itself. */
  async run(name: string, more: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const { argv, environment } = await this.container(name)
    return await ended(argv, { ...environment, ...more })
  }

  /** The health check of a service, once, as it is written. */
  async check(name: string): Promise<Ended> {
    const { health, environment } = await this.container(name)
    return await ended(health, environment)
  }

  /** Runs a script that lies beside the others in the containers of nodes. */
  async script(name: string, script: string, args: readonly string[] = []): Promise<Ended> {
    const { environment } = await this.container(name)
    return await ended(['sh', join(DEPLOY, 'redis', script), ...args], environment)
  }

  log(name: string): Promise<string> {
    return readFile(join(this.folder, `${name}.log`), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((guarded) => guarded.stop()))
    await rm(this.folder, { recursive: true, force: true })
  }

  async #start(name: string): Promise<void> {
    const { argv, environment } = await this.container(name)
    const [command = '', ...args] = argv
    const guarded = await startGuarded({
      command,
      args,
      env: environment,
      stopSignal: 'TERM',
      graceMs: 2000,
      log: join(this.folder, `${name}.log`),
      // When this process is gone, so are the secrets that it made.
      removeAtEnd: this.folder,
    })
    this.#running.set(name, guarded)
    const state = { over: false }
    void guarded.exited.then(() => (state.over = true))
    const deadline = performance.now() + HEALTHY_MS
    for (;;) {
      const { code, output } = await this.check(name)
      if (code === 0) return
      if (state.over || performance.now() > deadline) {
        throw new Error(`${name} is not healthy: ${output}\n${await this.log(name)}`)
      }
      await sleep(100)
    }
  }

  #read(): Compose {
    return readCompose({
      ...this.#options,
      environment: {
        ...this.#ports,
        SUBNET: this.#subnet,
        SECRETS: join(this.folder, 'secrets'),
        ...this.#options.environment,
      },
    })
  }

  /** By name and by address. Only Linux gives a machine all of 127.0.0.0/8. */
  #hosts(): ReadonlyMap<string, string> {
    const isOwn = process.platform === 'linux'
    const hosts = new Map<string, string>()
    for (const [name, { networks, environment }] of Object.entries(this.compose.services)) {
      if (networks === undefined && environment?.['NODE_IP'] !== undefined) {
        hosts.set(name, String(environment['NODE_IP']))
      }
      if (networks === undefined || Array.isArray(networks)) continue
      const [network] = Object.values(networks)
      if (network === undefined) continue
      const host = isOwn ? network.ipv4_address : '127.0.0.1'
      hosts.set(name, host).set(network.ipv4_address, host)
    }
    return hosts
  }

  #named(prefix: string): readonly string[] {
    const services = Object.entries(this.compose.services)
    return services.flatMap(([name, { environment }]) =>
      name.startsWith(prefix) && environment?.['NODE_PORT'] !== undefined ? [name] : [],
    )
  }
}

/** Another one each time, which on other systems than Linux makes no difference. */
const subnet = (): string => `127.${randomInt(16, 250)}.${randomInt(1, 250)}`

/** The tens of two runs of ports, all of which are free: Compose puts a digit behind them. */
async function freeTens(): Promise<Readonly<Record<string, string>>> {
  const wanted = [randomInt(1000, 1900), randomInt(2000, 2900)]
  for (;;) {
    const ports = wanted.flatMap((tens) => Array.from({ length: 10 }, (_, digit) => tens * 10 + digit))
    const free = await freePorts(ports.length, { wanted: ports })
    if (ports.every((port) => free.includes(port))) {
      return { REDIS_PORTS: String(wanted[0]), CACHE_PORTS: String(wanted[1]) }
    }
    wanted.splice(0, 2, randomInt(1000, 1900), randomInt(2000, 2900))
  }
}

async function ended(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const [command = '', ...args] = argv
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}
