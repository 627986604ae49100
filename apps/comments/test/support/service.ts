import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, inject } from 'vitest'
import { type Service, startService } from '../../src/compose.js'
import { type Config, loadConfig } from '../../src/config.js'
import { type Database, openDatabase } from '../../src/db/index.js'
import { ensureTenant, type PlanName } from '../../src/tenants.js'
import { Api } from './api.js'

const random = () => randomBytes(6).toString('hex')

/** A database of one test file. */
export async function makeDatabase(): Promise<{ readonly url: string; readonly drop: () => Promise<void> }> {
  const server = inject('postgresUrl')
  const name = `test_${random()}`
  const run = async (sql: string) => {
    const client = new pg.Client({ connectionString: server })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
  await run(`create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => run(`drop database if exists ${name} with (force)`) }
}

/** An environment for a service with a port, a database and a namespace of its own. */
export function environmentFor(databaseUrl: string, nodes = inject('clusterNodes')) {
  return {
    PORT: '0',
    DATABASE_URL: databaseUrl,
    REDIS_NODES: nodes.join(','),
    NAMESPACE: `test-${random()}`,
    LOG_LEVEL: 'silent',
  }
}

/** A service in this process, over a database and a namespace of its own, for all tests of a file. */
export class Harness {
  #service: Service | undefined
  #db: Database | undefined
  #config: Config | undefined

  get url(): string {
    return this.#given(this.#service).url
  }

  get db(): Database {
    return this.#given(this.#db)
  }

  get config(): Config {
    return this.#given(this.#config)
  }

  /** A new tenant, and how to call the service in its name. */
  async tenant(plan: PlanName = 'ENTERPRISE', id = `tenant-${random()}`): Promise<Api> {
    const key = `key-${random()}`
    await ensureTenant(this.db, { id, name: `Tenant ${id}`, plan, key })
    return new Api(this.url, key, id)
  }

  async start(more: Readonly<Record<string, string>> = {}): Promise<void> {
    const database = await makeDatabase()
    this.#config = loadConfig({ ...environmentFor(database.url), ...more })
    this.#service = await startService(this.#config, { logger: pino({ level: 'silent' }) })
    // Not what is tested: a busy machine may take longer than a service waits.
    this.#db = openDatabase(database.url, { connectTimeoutMs: 20_000 })
    this.#drop = database.drop
  }

  #drop: () => Promise<void> = async () => {}

  async stop(): Promise<void> {
    await this.#service?.close()
    await this.#db?.close()
    await this.#drop()
  }

  #given<T>(part: T | undefined): T {
    if (part === undefined) throw new Error('the service has not been started')
    return part
  }
}

/** A {@link Harness} that is started before the tests of a file and stopped after them. */
export function useService(more: Readonly<Record<string, string>> = {}): Harness {
  const harness = new Harness()
  beforeAll(() => harness.start(more))
  afterAll(() => harness.stop())
  return harness
}

/** A service as a process of its own. */
export interface Spawned {
  readonly url: string
  readonly child: ChildProcess
  /** Ends it in order; its exit code. */
  readonly stop: () => Promise<number | null>
  /** What it has logged so far of what went wrong, with the causes. */
  readonly complaints: readonly string[]
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export async function spawnService(environment: Readonly<Record<string, string>>): Promise<Spawned> {
  const child = spawn(process.execPath, ['--conditions=slotwise-source', '--import', 'tsx', MAIN], {
    env: { ...process.env, ...environment, LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const complaints: string[] = []
  const listening = new Promise<string>((found) => {
    lines.on('line', (line) => {
      if (/"level":[456]0/.test(line)) complaints.push(line)
      const url = /listening on (http:[^"]+)/.exec(line)?.[1]
      if (url !== undefined) found(url)
    })
  })
  const died = ended.then(([code]) => {
    throw new Error(`the service ended with ${String(code)} before it listened`)
  })
  died.catch(() => {})
  const url = await Promise.race([listening, died])
  const stop = async () => {
    child.kill('SIGTERM')
    const [code] = (await ended) as [number | null]
    return code
  }
  return { url, child, stop, complaints }
}
