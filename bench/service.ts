/**
 * Reading through the comments service, with the cache and without, in one run: the same code, the same Postgres,
 * the same rows, in turns so that a noisy neighbour hits both.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { startLocalCluster } from 'slotwise/local'
import { type Database, migrate, openDatabase } from '../apps/comments/src/db/index.js'
import { importDump } from '../apps/comments/src/import/index.js'
import { ensureTenant } from '../apps/comments/src/tenants.js'
import { startPostgres } from '../scripts/postgres.js'
import { counts, optionsOf } from './measuring/options.js'

const HELP = `npm run bench -- service [options]

Requests a second and latencies of reading a tree of comments and one comment, with the cache and without.

  --rounds N        rounds of each of the four; the medians are shown (5)
  --seconds N       how long a round lasts (3)
  --connections N   requests under way at once (16)
  --data DIR        a Stack Exchange dump to read; without it, 20 made-up threads of 60 comments each
  --json            every round, for machines
`

const values = optionsOf(HELP, {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '3' },
  connections: { type: 'string', default: '16' },
  data: { type: 'string' },
})
const [rounds, seconds, connections] = counts(values.rounds, values.seconds, values.connections)

const say = (line: string) => process.stderr.write(`${line}\n`)

/** Even the largest plan would refuse what one caller of a benchmark asks: many tenants with the same rows share it. */
const TENANTS = Array.from({ length: 40 }, (_, index) => ({
  id: `bench-${index}`,
  key: `bench-key-${index}`,
}))
const READ_THREADS = 20
const READ_COMMENTS = 100

async function fill(db: Database, dump: string | undefined): Promise<void> {
  await migrate(db)
  for (const { id, key } of TENANTS) {
    await ensureTenant(db, { id, name: id, plan: 'ENTERPRISE', key })
    if (dump === undefined) await makeUp(db, id)
    else await importDump(db, dump, { tenant: id })
  }
  await db.pool.query('vacuum analyze')
}

async function makeUp({ pool }: Database, tenant: string): Promise<void> {
  await pool.query(`insert into users values ($1, 'u', 'User')`, [tenant])
  await pool.query(
    `insert into entities (tenant_id, id, title) select $1, 't' || t, 'Thread ' || t from generate_series(1, 20) t`,
    [tenant],
  )
  await pool.query(
    `insert into comments (tenant_id, id, entity_id, parent_id, author_id, content, created_at)
     select $1, 't' || t || '-' || n, 't' || t, case when n % 3 = 0 then 't' || t || '-' || n / 3 end, 'u',
       repeat('A sentence of a comment. ', 3 + n % 9), now() - (1000 - n) * interval '1 minute'
     from generate_series(1, 20) t, generate_series(1, 60) n`,
    [tenant],
  )
}

async function idsOf({ pool }: Database, table: 'entities' | 'comments', count: number): Promise<string[]> {
  const order = table === 'entities' ? '(select count(*) from comments c where c.entity_id = t.id) desc,' : ''
  const { rows } = await pool.query<{ id: string }>(
    `select id from ${table} t where tenant_id = $1 order by ${order} id limit $2`,
    [TENANTS[0]?.id, count],
  )
  return rows.map(({ id }) => encodeURIComponent(id))
}

/** The service as a process of its own, so that the load generator does not share its event loop. */
async function service(cache: 'on' | 'off', env: Readonly<Record<string, string>>) {
  const main = fileURLToPath(new URL('../apps/comments/src/main.ts', import.meta.url))
  const settings = { ...env, PORT: '0', CACHE: cache, NAMESPACE: `bench-${cache}`, LOG_LEVEL: 'info' }
  const child = spawn(process.execPath, ['--conditions=slotwise-source', '--import', 'tsx', main], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const url = new Promise<string>((found) => {
    let printed = ''
    child.stdout.on('data', (chunk) => {
      printed = (printed + String(chunk)).slice(-4000)
      const listening = /listening on (http:[^"]+)/.exec(printed)?.[1]
      if (listening !== undefined) found(listening)
    })
  })
  const died = ended.then(() => {
    throw new Error('the service ended before it listened')
  })
  died.catch(() => {})
  return {
    url: await Promise.race([url, died]),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

interface Round {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

async function round(url: string, paths: readonly string[], lasts: number): Promise<Round> {
  // Every pair of a path and a tenant comes up, since the two counts share few factors.
  const requests = Array.from({ length: paths.length * TENANTS.length }, (_, index) => ({
    method: 'GET' as const,
    path: paths[index % paths.length] ?? '',
    headers: { authorization: `Bearer ${TENANTS[Math.floor(index / paths.length)]?.key}` },
  }))
  const result = await autocannon({ url, connections, duration: lasts, requests })
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(
      `${result.non2xx} answers were no success and ${result.errors} failed: nothing was measured`,
    )
  }
  return {
    perSecond: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN

await using postgres = await startPostgres({ onProgress: say })
await using cluster = await startLocalCluster({ onProgress: say })
const db = openDatabase(postgres.url)
say(values.data === undefined ? 'filling Postgres' : `importing ${values.data} for ${TENANTS.length} tenants`)
await fill(db, values.data)
const threads = await idsOf(db, 'entities', READ_THREADS)
const comments = await idsOf(db, 'comments', READ_COMMENTS)
await db.close()
const targets = [
  { name: 'a tree of comments', paths: threads.map((id) => `/v1/entities/${id}/comments`) },
  { name: 'one comment', paths: comments.map((id) => `/v1/comments/${id}`) },
]
const env = { DATABASE_URL: postgres.url, REDIS_NODES: cluster.connectOptions.nodes.join(',') }
const services = { on: await service('on', env), off: await service('off', env) }
try {
  const results = targets.map(({ name }) => ({ name, on: [] as Round[], off: [] as Round[] }))
  for (const { paths } of targets) {
    for (const cache of ['on', 'off'] as const) await round(services[cache].url, paths, 2)
  }
  for (let nth = 0; nth < rounds; nth++) {
    say(`round ${nth + 1} of ${rounds}`)
    for (const [index, { paths }] of targets.entries()) {
      const order = nth % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)
      for (const cache of order)
        results[index]?.[cache].push(await round(services[cache].url, paths, seconds))
    }
  }
  if (values.json) console.log(JSON.stringify({ rounds, seconds, connections, results }, null, 2))
  else print(results)
} finally {
  await Promise.all([services.on.stop(), services.off.stop()])
}

function print(results: readonly { name: string; on: readonly Round[]; off: readonly Round[] }[]): void {
  const of = (list: readonly Round[], field: keyof Round) => median(list.map((one) => one[field]))
  const row = (...cells: readonly (string | number)[]) =>
    console.log(
      cells.map((cell, index) => (index < 2 ? String(cell).padEnd(20) : String(cell).padStart(10))).join(' '),
    )
  console.log(
    `medians of ${rounds} rounds of ${seconds} s, ${connections} requests under way, ${cpus().length} cores shared with Redis, Postgres and the load`,
  )
  row('reading', 'cache', 'requests/s', 'p50 ms', 'p99 ms')
  for (const { name, on, off } of results) {
    for (const [list, cache] of [
      [on, 'with'],
      [off, 'without'],
    ] as const) {
      row(
        name,
        cache,
        of(list, 'perSecond').toFixed(0),
        of(list, 'p50Ms').toFixed(1),
        of(list, 'p99Ms').toFixed(1),
      )
    }
    const ratio = median(on.map(({ perSecond }, index) => perSecond / (off[index]?.perSecond ?? Number.NaN)))
    row('', 'ratio', `${ratio.toFixed(2)}×`)
  }
}
