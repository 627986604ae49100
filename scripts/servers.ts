import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { SlotwiseError } from 'slotwise'
import { type LocalNode, startLocalCluster } from 'slotwise/local'
import { parseAddress } from '../packages/slotwise/src/cluster/observe.js'
import { WireClient } from '../packages/slotwise/src/redis/wire.js'
import { Explained } from './packages.mjs'
import { startPostgres } from './postgres.js'
import type { Progress, Step } from './progress.mjs'

const FIRST_REDIS_PORT = 7000
const FIRST_POSTGRES_PORT = 15_432
const REACHABLE_MS = 3000

/** The Redis Cluster that the service uses: ours, on this machine, or the user's. */
export interface RedisServers {
  readonly nodes: readonly string[]
  readonly own?: { readonly version: string; readonly nodes: readonly LocalNode[] }
  close(): Promise<void>
}

/** The Postgres that the service uses: ours or the user's. */
export interface PostgresServer {
  readonly url: string
  readonly own?: { readonly port: number; readonly dir: string }
  /** The same for the same database, another for another. */
  readonly fingerprint: string
  close(): Promise<void>
}

interface Choice {
  readonly fresh: boolean
  readonly redis?: readonly string[]
}

export async function chooseRedis(
  dir: string,
  { fresh, redis }: Choice,
  progress: Progress,
  signal: AbortSignal,
): Promise<RedisServers> {
  if (redis !== undefined) {
    return await told(progress.step('Looking for your Redis Cluster'), async () => {
      await findCluster(redis)
      return { said: 'Your Redis Cluster answers', result: { nodes: redis, close: async () => {} } }
    })
  }
  return await told(progress.step('Starting a Redis Cluster of six nodes'), async (step) => {
    if (fresh) await rm(dir, { recursive: true, force: true })
    const cluster = await startLocalCluster({
      dir,
      basePort: FIRST_REDIS_PORT,
      onProgress: (clause) => step.update(clause),
      signal,
    })
    const ports = cluster.nodes.map(({ port }) => port)
    const moved = ports.some((port, index) => port !== FIRST_REDIS_PORT + index)
    const taken = `, on other ports since some from ${FIRST_REDIS_PORT} on are taken`
    return {
      said: `The Redis Cluster of six nodes is healthy${moved ? taken : ''}`,
      result: {
        nodes: cluster.connectOptions.nodes,
        own: { version: cluster.version, nodes: cluster.nodes },
        close: () => cluster.stop(),
      },
    }
  })
}

/** Any node that answers leads to the others; that all of them are told apart is the service's own business. */
async function findCluster(nodes: readonly string[]): Promise<void> {
  const password = process.env['REDIS_PASSWORD']
  const failures: string[] = []
  for (const node of nodes) {
    try {
      const client = await WireClient.connect({ ...parseAddress(node), password, timeoutMs: REACHABLE_MS })
      const info = String(await client.call(['CLUSTER', 'INFO']).finally(() => client.close()))
      if (/cluster_state:ok/.test(info)) return
      failures.push(`${node} answers, but its cluster is not whole (CLUSTER INFO says so)`)
    } catch (error) {
      const said = error instanceof SlotwiseError ? error.message : String(error)
      failures.push(/support disabled/.test(said) ? `${node} is a single server, not a cluster` : said)
    }
  }
  const [first = ''] = failures
  throw new Explained(
    `No usable Redis Cluster is at ${nodes.join(', ')}: ${first}; check --redis and REDIS_PASSWORD, or leave --redis out to use one of ours.`,
  )
}

export async function choosePostgres(
  dir: string,
  choice: Choice,
  progress: Progress,
): Promise<PostgresServer> {
  const url = process.env['DATABASE_URL']
  if (url !== undefined && url !== '') {
    return await told(progress.step('Looking for your Postgres'), async () => {
      await findDatabase(url)
      return {
        said: 'Your Postgres answers',
        result: { url, fingerprint: digest(url), close: async () => {} },
      }
    })
  }
  return await told(progress.step('Starting Postgres'), async (step) => {
    const { fresh } = choice
    const onProgress = (clause: string) => step.update(clause)
    const postgres = await startPostgres({ dir, fresh, port: FIRST_POSTGRES_PORT, onProgress })
    const { port } = postgres
    return {
      said: `Postgres is up${port === FIRST_POSTGRES_PORT ? '' : ` on port ${port}, since ${FIRST_POSTGRES_PORT} is taken`}`,
      result: {
        url: postgres.url,
        own: { port, dir: postgres.dir },
        // Every database of ours has a password of its own.
        fingerprint: digest(new URL(postgres.url).password),
        close: () => postgres.stop(),
      },
    }
  })
}

async function findDatabase(url: string): Promise<void> {
  const where = place(url)
  const { openDatabase } = await import('../apps/comments/src/db/index.js')
  const database = openDatabase(url, { connections: 1, connectTimeoutMs: REACHABLE_MS })
  try {
    await database.pool.query('select 1')
  } catch (error) {
    const said = error instanceof Error ? error.message || String(Reflect.get(error, 'code')) : String(error)
    throw new Explained(
      `The Postgres at ${where} cannot be used (${said}): check DATABASE_URL, or unset it to use one of ours.`,
    )
  } finally {
    await database.close()
  }
}

/** Without the password, which is nobody's business on a screen. */
function place(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url)
    return `${hostname}:${port || 5432}${pathname}`
  } catch {
    throw new Explained(
      'DATABASE_URL must be like postgres://user:password@host:5432/name; unset it to use one of ours.',
    )
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

async function told<T>(step: Step, work: (step: Step) => Promise<{ said: string; result: T }>): Promise<T> {
  try {
    const { said, result } = await work(step)
    step.done(said)
    return result
  } catch (error) {
    step.fail()
    throw error
  }
}
