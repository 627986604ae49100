import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { destination, pino } from 'pino'
import { freePorts } from '../packages/slotwise/src/local/ports.js'
import { dumpsIn } from './dumps.js'
import type { Progress } from './progress.mjs'
import { choosePostgres, chooseRedis, type PostgresServer, type RedisServers } from './servers.js'

/** What the user asked for, checked by the script that started us. */
export interface UpOptions {
  readonly port: number
  readonly data?: string
  readonly sample: boolean
  readonly fresh: boolean
  readonly redis?: readonly string[]
}

/** Everything that is up. */
export interface Running {
  readonly url: string
  readonly port: number
  readonly redis: RedisServers
  readonly postgres: PostgresServer
  /** What there is to look at, in a few words. */
  readonly data: string
  close(): Promise<void>
}

/** How long the service may take to finish the requests it has. */
const DRAIN_MS = 1700

/**
 * The servers at once, then the data, then the service. What was started is ended again when a later step fails or
 * `signal` says so.
 */
export async function bringUp(
  dir: string,
  options: UpOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<Running> {
  const file = join(dir, 'state.json')
  await rm(file, { force: true })
  const servers: { close(): Promise<void> }[] = []
  const closeServers = async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()))
  }
  const begun = async <T extends { close(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting
    servers.push(started)
    return started
  }
  const dumps = options.data === undefined ? [] : dumpsIn(options.data)
  try {
    const failed = new AbortController()
    const loading = load()
    loading.catch(() => {})
    const [redis, postgres] = await both(
      begun(chooseRedis(join(dir, 'redis'), options, progress, AbortSignal.any([signal, failed.signal]))),
      begun(choosePostgres(join(dir, 'postgres'), options, progress)),
      (error) => failed.abort(error),
    )
    const { startService, loadConfig, fill } = await loading
    signal.throwIfAborted()
    // A cache that outlives its database must not serve the next one.
    const namespace = redis.own && postgres.own ? 'comments' : `comments-${postgres.fingerprint}`
    const config = loadConfig({
      ...process.env,
      HOST: '127.0.0.1',
      PORT: String(options.port),
      DATABASE_URL: postgres.url,
      REDIS_NODES: redis.nodes.join(','),
      NAMESPACE: namespace,
      DEMO: '1',
    })
    const data = await fill(config, { ...options, dumps }, progress, signal)
    signal.throwIfAborted()
    const step = progress.step('Starting the service')
    const logger = pino({ level: config.logLevel }, destination(join(dir, 'service.log')))
    const service = await startService({ ...config, port: await free(options.port) }, { logger })
    const { url, port } = service
    step.done(
      `The service is up${port === options.port ? '' : ` on port ${port}, since ${options.port} is taken`}`,
    )
    const state = { url, databaseUrl: postgres.url, redisNodes: redis.nodes, namespace, pid: process.pid }
    // It holds the password of the database.
    await writeFile(file, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
    const close = async () => {
      await Promise.race([service.close(), sleep(DRAIN_MS)]).catch(() => {})
      await Promise.all([closeServers(), rm(file, { force: true })])
    }
    return { url, port, redis, postgres, data, close }
  } catch (error) {
    await closeServers()
    throw error
  }
}

/** What is large is read while the servers start, most of whose time is waiting. */
async function load() {
  // The servers' processes first.
  await sleep(50)
  const [{ startService }, { loadConfig }, { fill }] = await Promise.all([
    import('../apps/comments/src/compose.js'),
    import('../apps/comments/src/config.js'),
    import('./fill.js'),
  ])
  return { startService, loadConfig, fill }
}

async function free(first: number): Promise<number> {
  const [port] = await freePorts(1, { base: first })
  return port ?? first
}

/** Waits for both even when one fails: the other has something to be ended by then. */
async function both<A, B>(
  first: Promise<A>,
  second: Promise<B>,
  onFailure: (error: unknown) => void,
): Promise<[A, B]> {
  const all = Promise.all([first, second])
  all.catch(onFailure)
  await Promise.allSettled([first, second])
  return all
}
