import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { postgresWriter, WriteBehind, type Writer } from '../../../src/writebehind/index.js'
import type { TestDatabase } from '../../support/postgres.js'
import { NaiveWriteBehind, upserts } from './naive.js'
import { closePlace, openPlace } from './place.js'

interface Counted {
  readonly n: number
}

let port: RedisPort
let database: TestDatabase
beforeAll(async () => {
  ;({ port, database } = await openPlace())
}, 60_000)
/** What each promise came to, of the article's version and of ours. */
const list: string[] = []
afterAll(async () => {
  console.log(['What became of what was accepted:', ...list].join('\n'))
  await closePlace({ port, database })
})

/** Either of them, over a table of its own. */
async function stage() {
  const table = `rows_${randomUUID().slice(0, 8)}`
  await database.pool.query(`create table ${table} (id text primary key, value jsonb)`)
  const writer = postgresWriter<Counted>(database.pool, {
    table,
    name: table,
    columns: ({ value }) => ({ value }),
  })
  const load = async (id: unknown) =>
    (await database.pool.query<{ value: Counted }>(`select value from ${table} where id = $1`, [id])).rows[0]
      ?.value
  const ours = (options: { writeBatch?: Writer<Counted>; highWater?: number } = {}) =>
    new WriteBehind<Counted>(port, {
      name: table,
      partitions: 1,
      flushIntervalMs: 20,
      leaseMs: 300,
      writeBatch: writer,
      load,
      ...options,
    })
  return { table, writer, ours, load }
}

const told = (what: string, theirs: unknown, mine: unknown) =>
  list.push(`  ${what}: the article ${JSON.stringify(theirs)}, ours ${JSON.stringify(mine)}`)

describe("the article's own version fails", () => {
  it('what was accepted before a process died is written', async () => {
    const { table, ours, load } = await stage()
    const theirs = new NaiveWriteBehind(port, upserts(database.pool, table), { flushIntervalMs: 200 })
    await theirs.write('theirs', { n: 1 })
    theirs.die()
    // Accepting is all that this process does.
    const dying = ours()
    await dying.write('ours', { n: 1 })
    await using another = ours()
    another.start()
    await another.drain()
    await sleep(300)
    const found = [await load('theirs'), await load('ours')]
    told('accepted by a process that died', found[0] ?? 'lost', found[1])
    expect(found).toEqual([undefined, { n: 1 }])
  })

  it('what is refused is not to be read', async () => {
    const { table, ours } = await stage()
    const theirs = new NaiveWriteBehind(port, upserts(database.pool, table), { capacity: 0 })
    const id = randomUUID()
    await expect(theirs.write(id, { n: 1 })).rejects.toThrow('full')
    theirs.die()
    const mine = ours({ highWater: 1 })
    await mine.write('other', { n: 0 })
    expect(await mine.write(id, { n: 1 })).toMatchObject({ accepted: false })
    const read = [await theirs.read(id), await mine.read(id)]
    told('read of a write that was refused', read[0], read[1] ?? 'nothing')
    expect(read).toEqual([{ n: 1 }, undefined])
  })

  it('a batch that failed is written later', async () => {
    const { table, writer, ours, load } = await stage()
    let failures = 0
    const failing =
      <A extends readonly unknown[]>(act: (...args: A) => Promise<void>) =>
      async (...args: A): Promise<void> => {
        if (failures++ === 0) throw new Error('the database is away')
        await act(...args)
      }
    const theirs = new NaiveWriteBehind(port, failing(upserts(database.pool, table)))
    await theirs.write('theirs', { n: 1 })
    await vi.waitFor(() => expect(failures).toBe(1))
    await theirs.write('after', { n: 1 })
    await vi.waitFor(async () => expect(await load('after')).toEqual({ n: 1 }))
    theirs.die()
    failures = 0
    await using mine = ours({ writeBatch: { ...writer, write: failing(writer.write) } })
    await mine.write('ours', { n: 1 })
    mine.start()
    await mine.drain()
    const found = [await load('theirs'), await load('ours')]
    told('in a batch that failed once', found[0] ?? 'lost', found[1])
    expect(found).toEqual([undefined, { n: 1 }])
    expect(failures).toBeGreaterThan(1)
  })

  it('the last of two writes in two processes is what stays', async () => {
    const { table, ours, load } = await stage()
    const slow = new NaiveWriteBehind(port, upserts(database.pool, table), { flushIntervalMs: 200 })
    const quick = new NaiveWriteBehind(port, upserts(database.pool, table))
    await slow.write('theirs', { n: 1 })
    await quick.write('theirs', { n: 2 })
    const [one, two] = [ours(), ours()]
    await one.write('ours', { n: 1 })
    await two.write('ours', { n: 2 })
    one.start()
    two.start()
    await two.drain()
    // Whenever both of theirs have written, the slow one the later.
    await expect.poll(() => load('theirs'), { timeout: 10_000 }).toEqual({ n: 1 })
    for (const naive of [slow, quick]) naive.die()
    await Promise.all([one.close(), two.close()])
    const found = [await load('theirs'), await load('ours')]
    told('2 written after 1 by another process', found[0], found[1])
    expect(found).toEqual([{ n: 1 }, { n: 2 }])
  })

  it('everything that is counted counts', async () => {
    const { table, ours, load } = await stage()
    const theirs = new NaiveWriteBehind(port, upserts(database.pool, table))
    const id = randomUUID()
    const count = async () => {
      const { n = 0 } = ((await theirs.read(id)) ?? {}) as Partial<Counted>
      await theirs.write(id, { n: n + 1 })
    }
    await using mine = ours()
    mine.start()
    await Promise.all(Array.from({ length: 50 }, count))
    await Promise.all(Array.from({ length: 50 }, () => mine.increment('ours', 'n', 1)))
    await mine.drain()
    await vi.waitFor(async () => expect(await load(id)).toBeDefined())
    theirs.die()
    const found = [(await load(id))?.n ?? 0, (await load('ours'))?.n]
    told('counted 50 times', found[0], found[1])
    expect(found[1]).toBe(50)
    expect(found[0]).toBeLessThan(50)
  })
})
