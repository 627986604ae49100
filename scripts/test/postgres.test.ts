import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { processInfo } from '../../packages/slotwise/src/local/process.js'
import { type LocalPostgres, startPostgres } from '../postgres.js'

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'slotwise test, of postgres '))
})
afterAll(() => rm(home, { recursive: true, force: true }))

async function query(url: string, sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

it('keeps what was committed when its process and its guard are killed at once', async () => {
  const dir = join(home, 'killed')
  const first = await startPostgres({ dir })
  await query(first.url, 'create table kept (n int); insert into kept values (7)')
  process.kill(processInfo(first.pid)?.parent ?? 0, 'SIGKILL')
  process.kill(first.pid, 'SIGKILL')
  await using second = await startPostgres({ dir })
  expect((await query(second.url, 'select n from kept')).rows).toEqual([{ n: 7 }])
})

it('ends a server that its guard has left behind, and takes over its data', async () => {
  const dir = join(home, 'orphan')
  const first = await startPostgres({ dir })
  const guard = processInfo(first.pid)?.parent ?? 0
  // As if this process had been killed together with the guard: nobody is left to end the server.
  await orphan(guard, first.pid)
  await using second = await startPostgres({ dir })
  expect(processInfo(first.pid)).toBeUndefined()
  expect((await query(second.url, 'select 1 as one')).rows).toEqual([{ one: 1 }])
})

it('refuses to share its data with another start, and says which process has it', async () => {
  const dir = join(home, 'shared')
  await using first = await startPostgres({ dir })
  await expect(startPostgres({ dir })).rejects.toThrow(
    `Another Postgres (process ${first.pid}) is already running on ${dir}`,
  )
})

it('runs, as root, without user namespaces too, which containers forbid', async () => {
  vi.stubEnv('SLOTWISE_NO_NAMESPACES', '1')
  try {
    await using postgres = await startPostgres()
    const { rows } = await query(postgres.url, 'select 1 as one')
    expect(rows).toEqual([{ one: 1 }])
  } finally {
    vi.unstubAllEnvs()
  }
})

it('begins anew when told to', async () => {
  const dir = join(home, 'fresh')
  const first = await startPostgres({ dir })
  await query(first.url, 'create table kept ()')
  await first.stop()
  await using second = await startPostgres({ dir, fresh: true })
  await expect(query(second.url, 'select from kept')).rejects.toThrow('does not exist')
})

it('moves on from a port that is taken', async () => {
  const stranger = createServer().listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  const address = stranger.address()
  const taken = typeof address === 'object' ? (address?.port ?? 0) : 0
  try {
    await using postgres = await startPostgres({ port: taken })
    expect(postgres.port).toBeGreaterThan(taken)
    await query(postgres.url, 'select 1')
  } finally {
    stranger.close()
  }
})

it('lets nobody in without the password, opens no socket in a folder, and leaves no temporary file', async () => {
  const postgres = await startPostgres()
  const url = new URL(postgres.url)
  const { rows } = await query(postgres.url, 'show unix_socket_directories')
  expect(rows).toEqual([{ unix_socket_directories: '' }])
  expect((await query(postgres.url, 'show listen_addresses')).rows).toEqual([
    { listen_addresses: '127.0.0.1' },
  ])
  url.password = 'guessed'
  await expect(query(String(url), 'select 1')).rejects.toThrow('password authentication failed')
  await postgres.stop()
  expect(existsSync(postgres.dir)).toBe(false)
  expect(processInfo(postgres.pid)).toBeUndefined()
})

it('ends with a process that is killed, and takes its temporary folder along', async () => {
  const script = `
    import { startPostgres } from ${JSON.stringify(new URL('../postgres.ts', import.meta.url).href)}
    const { pid, dir } = await startPostgres()
    console.log(JSON.stringify({ pid, dir }))
    setInterval(() => {}, 1000)`
  const file = join(home, 'owner.mts')
  await writeFile(file, script)
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
  const owner = spawn(process.execPath, ['--conditions=slotwise-source', '--import', 'tsx', file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(owner.stdout, 'data')) as [Buffer]
  const { pid, dir } = JSON.parse(String(line)) as Pick<LocalPostgres, 'pid' | 'dir'>
  expect(processInfo(pid)).toBeDefined()
  owner.kill('SIGKILL')
  while (processInfo(pid) !== undefined || existsSync(dir)) await sleep(20)
})

it('says in one sentence that data of another version of Postgres is not for it', async () => {
  const dir = join(home, 'old')
  await (await startPostgres({ dir })).stop()
  await writeFile(join(dir, 'data/PG_VERSION'), '9\n')
  await expect(startPostgres({ dir })).rejects.toThrow(
    /written by Postgres 9, and this is Postgres \d+: .*DATABASE_URL/,
  )
})

/** Kills the guard in a way that our own end of it does not notice. */
async function orphan(guard: number, server: number): Promise<void> {
  process.kill(guard, 'SIGKILL')
  while (processInfo(guard) !== undefined) await sleep(5)
  expect(processInfo(server)?.parent).not.toBe(guard)
}
