import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { converge } from '../cluster/converge.js'
import type { Access } from '../cluster/observe.js'
import { ConfigurationError, LocalServerError } from '../errors.js'
import { type Certificate, makeCertificate } from './certificate.js'
import { RunningCluster } from './cluster.js'
import { nodeFolder, type Remembered, recall, remember, sweep } from './data-folder.js'
import { findServer } from './find.js'
import type { LocalCluster } from './local-cluster.js'
import { LocalNetwork } from './network.js'
import { checkOptions, type LocalClusterOptions } from './options.js'
import { freePorts } from './ports.js'
import { lostItsPort, type RunningServer, startServer } from './server.js'

const PORT_TRIES = 5
const HEALTHY_MS = 60_000

/**
 * Starts a real Redis Cluster on this machine, for tests and development, and resolves when it is healthy: all nodes
 * agree on all slots, every replica is linked, every node accepts commands. That takes two seconds, most of it
 * Redis's own delay.
 *
 * Finds a redis-server or valkey-server, or fetches one (Debian, Ubuntu; needs no root, installs nothing). Its
 * servers listen on 127.0.0.1 only and end with this process, however that ends; the process may end without
 * having stopped them. Not for production: all nodes share one machine.
 *
 * @example
 * ```ts
 * import { startLocalCluster } from 'slotwise/local'
 *
 * const cluster = await startLocalCluster()
 * console.log(cluster.version, cluster.connectOptions.nodes)
 * await cluster.kill(0) // its replica takes over
 * await cluster.stop()
 * ```
 *
 * @throws ServerNotFoundError there is no server and none could be fetched; says what to do on this system
 * @throws LocalServerError a server did not come up; with the last lines of its log
 * @throws ConfigurationError
 */
export async function startLocalCluster(options: LocalClusterOptions = {}): Promise<LocalCluster> {
  const { primaries, replicasPerPrimary, nodeTimeoutMs, networkFaults } = checkOptions(options)
  const { username, password, signal, onProgress = () => {}, onError = warn } = options
  const found = await findServer(options)
  const temporary = options.dir === undefined ? await temporaryFolder() : undefined
  const servers: RunningServer[] = []
  let cluster: RunningCluster | undefined
  let network: LocalNetwork | undefined
  try {
    if (networkFaults) network = await LocalNetwork.open(() => cluster?.nodes.map(({ pid }) => pid) ?? [])
    // The real path, so that a later start knows its processes by it.
    const dir = temporary ?? (await settle(resolve(options.dir ?? '')))
    const before = temporary === undefined ? await reuse(dir, primaries, replicasPerPrimary) : undefined
    const certificate =
      options.tls === true ? makeCertificate() : options.tls === false ? undefined : options.tls
    const tlsFolder = certificate && (await writeCertificate(dir, certificate))
    const tls = certificate && { ca: certificate.ca }
    const access: Access = { username, password, tls, timeoutMs: 5000, signal }
    const start = async (index: number, at: { port: number; busPort: number }) =>
      await startServer(
        found,
        {
          dir: nodeFolder(dir, index),
          port: at.port,
          busPort: at.busPort,
          username,
          password,
          tlsFolder,
          nodeTimeoutMs,
          announced: await network?.announce(index, at),
          persistent: temporary === undefined,
          more: options.config ?? {},
        },
        access,
        temporary,
      )
    const count = before?.ports.length ?? primaries * (replicasPerPrimary + 1)
    const state = (whole: boolean, all: readonly RunningServer[]): Remembered => {
      const ports = all.map(({ config: { port, busPort } }) => ({ port, busPort }))
      return { primaries, replicasPerPrimary, ports, whole }
    }

    onProgress(`starting ${count} servers of version ${found.version}`)
    const first = await pickPorts(count, before, options.basePort)
    const started = await Promise.allSettled(
      first.map((at, index) => startSomewhere((elsewhere) => start(index, elsewhere), at, options.basePort)),
    )
    for (const result of started) if (result.status === 'fulfilled') servers.push(result.value)
    for (const result of started) if (result.status === 'rejected') throw result.reason
    if (temporary === undefined) await remember(dir, state(before?.whole ?? false, servers))

    const running = new RunningCluster(
      {
        version: found.version,
        connectOptions: {
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password }),
          ...(tls === undefined ? {} : { tls }),
        },
        access: { ...access, signal: undefined },
        temporary,
        network,
        onError: heard(onError),
        start: async (index, at) => {
          if (at !== undefined) return await start(index, at)
          const [port] = await pickPorts(1, undefined, options.basePort)
          if (port === undefined) throw new LocalServerError('there is no free port', { log: '' })
          return await startSomewhere((elsewhere) => start(index, elsewhere), port, options.basePort)
        },
        grown: async (all) => {
          if (temporary === undefined) await remember(dir, state(true, all))
        },
      },
      servers,
    )
    cluster = running
    // A cluster that was whole keeps the roles that its elections gave; one that was not is made.
    const wanted = before?.whole === true ? undefined : primaries
    const deadline = performance.now() + HEALTHY_MS
    await running.withMembers(async (members) => {
      running.learn((await converge(members, { primaries: wanted, deadline, onProgress, signal })).views)
    })
    if (temporary === undefined) await remember(dir, state(true, servers))
    return running
  } catch (error) {
    // Through the cluster where there is one, or it would report that its servers ended.
    await (cluster?.stop() ?? Promise.all(servers.map(({ guarded }) => guarded.stop())))
    network?.close()
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
    throw explain(error, temporary ?? resolve(options.dir ?? ''))
  }
}

async function temporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 'slotwise-'))
  } catch (error) {
    throw explain(error, tmpdir())
  }
}

async function settle(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  return await realpath(dir)
}

async function reuse(
  dir: string,
  primaries: number,
  replicasPerPrimary: number,
): Promise<Remembered | undefined> {
  const before = await recall(dir)
  await sweep(dir)
  if (
    before !== undefined &&
    (before.primaries !== primaries || before.replicasPerPrimary !== replicasPerPrimary)
  ) {
    throw new ConfigurationError(
      `${dir} holds a cluster of ${before.primaries} primaries with ${before.replicasPerPrimary} replicas each, not ${primaries} with ${replicasPerPrimary}: ask for the same, or use another folder`,
    )
  }
  return before
}

/** What the system says of a folder, in words that say what to do. */
function explain(error: unknown, dir: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const log = error instanceof LocalServerError ? error.log : ''
  if (code === 'ENOSPC' || code === 'EDQUOT' || /No space left on device/i.test(log)) {
    return new LocalServerError(`the disk that holds ${dir} is full: free some space`, { log, cause: error })
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST') {
    return new ConfigurationError(`${dir} cannot be used as a folder for data: ${String(error)}`, {
      cause: error,
    })
  }
  return error
}

type Ports = Remembered['ports'][number]

/** Those of last time where they are free; they need not all be. */
async function pickPorts(
  count: number,
  before: Remembered | undefined,
  base: number | undefined,
): Promise<readonly Ports[]> {
  const old = before?.ports ?? []
  const keep = base === undefined || old.some(({ port }) => port === base)
  const ports = await freePorts(count, { wanted: keep ? old.map(({ port }) => port) : [], base })
  const busPorts = await freePorts(count, { wanted: old.map(({ busPort }) => busPort), avoid: ports })
  return ports.map((port, index) => ({ port, busPort: busPorts[index] ?? 0 }))
}

/** Somebody may take a port between our look and the server's start: then another one it is. */
async function startSomewhere(
  start: (at: Ports) => Promise<RunningServer>,
  at: Ports,
  base: number | undefined,
): Promise<RunningServer> {
  let next = at
  for (let tries = 1; ; tries++) {
    try {
      return await start(next)
    } catch (error) {
      if (tries === PORT_TRIES || !lostItsPort(error)) throw error
      const [other] = await pickPorts(1, undefined, base === undefined ? undefined : next.port + 1)
      if (other === undefined) throw error
      next = other
    }
  }
}

async function writeCertificate(dir: string, { cert, key, ca }: Certificate): Promise<string> {
  const files = { 'cert.pem': cert, 'key.pem': key, 'ca.pem': ca }
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text, { mode: 0o600 })
  return dir
}

/** The user's own callback may throw, where nobody could catch it. */
function heard(listener: (error: LocalServerError) => void): (error: LocalServerError) => void {
  return (error) => {
    try {
      listener(error)
    } catch (thrown) {
      warn(error)
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
    }
  }
}

function warn(error: LocalServerError): void {
  process.emitWarning(`${error.message}\n${error.log}`, 'LocalServerError')
}
