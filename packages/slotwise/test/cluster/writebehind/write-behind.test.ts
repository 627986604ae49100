import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { postgresWriter, WriteBehind, type WriteBehindOptions } from '../../../src/writebehind/index.js'
import type { TestDatabase } from '../../support/postgres.js'
import { closePlace, openPlace } from './place.js'

interface Post {
  readonly title?: string
  readonly views?: number
}

let port: RedisPort
let database: TestDatabase
beforeAll(async () => {
  ;({ port, database } = await openPlace())
}, 60_000)
afterAll(async () => {
  await closePlace({ port, database })
})

let table = ''
beforeEach(async () => {
  table = `posts_${randomUUID().slice(0, 8)}`
  await database.pool.query(
    `create table ${table} (id text primary key, title text, views bigint not null default 0, changes integer not null default 0)`,
  )
})

function opened(options: Partial<WriteBehindOptions<Post>> = {}): WriteBehind<Post> {
  return new WriteBehind<Post>(port, {
    name: table,
    partitions: 8,
    flushIntervalMs: 20,
    leaseMs: 1000,
    writeBatch: postgresWriter<Post>(database.pool, {
      table,
      name: table,
      columns: ({ value: { title = null, views = 0 } }) => ({ title, views }),
      version: 'changes',
    }),
    load: async (id) => {
      const { rows } = await database.pool.query(`select title, views::int from ${table} where id = $1`, [id])
      return rows[0] as Post | undefined
    },
    ...options,
  })
}
const rows = async () =>
  (await database.pool.query(`select id, title, views::int, changes from ${table} order by id`))
    .rows as readonly {
    id: string
    title: string | null
    views: number
    changes: number
  }[]

describe('what is accepted', () => {
  it('is read at once, and in the table once it is drained', async () => {
    await using writes = opened()
    expect(await writes.write('a', { title: 'one', views: 1 })).toEqual({
      accepted: true,
      durability: 'memory',
    })
    expect(await writes.write('b', { title: 'two' })).toMatchObject({ accepted: true })
    expect(await writes.delete('b')).toMatchObject({ accepted: true })
    expect(await writes.read('a')).toEqual({ title: 'one', views: 1 })
    expect(await writes.read('b')).toBeUndefined()
    expect(await writes.lag()).toMatchObject({ entries: 3 })
    writes.start()
    await writes.drain()
    expect(await rows()).toMatchObject([{ id: 'a', title: 'one', views: 1 }])
    expect(await writes.lag()).toEqual({ entries: 0, bytes: 0, ms: 0 })
    // From the table now.
    expect(await writes.read('a')).toEqual({ title: 'one', views: 1 })
  })

  it('is one change of the table for many of a row', async () => {
    await using writes = opened()
    for (let n = 0; n < 10; n++) await writes.write('a', { title: `${n}` })
    writes.start()
    await writes.drain()
    expect(await rows()).toMatchObject([{ title: '9', changes: 0 }])
  })

  it('is counted exactly, whoever counts, while it is flushed', async () => {
    await using writes = opened()
    await using other = opened()
    writes.start()
    other.start()
    const each = async (one: WriteBehind<Post>) => {
      for (let n = 0; n < 50; n++) await one.increment('a', 'views', 1, { idempotencyKey: randomUUID() })
    }
    await Promise.all([...Array(4)].flatMap(() => [each(writes), each(other)]))
    await writes.drain()
    expect(await rows()).toMatchObject([{ id: 'a', views: 400 }])
  })

  it('is refused as a value where there is no room', async () => {
    await using writes = opened({ highWater: 1, flushIntervalMs: 77 })
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => writes.write(`${n}`, {})))
    expect(answers).toContainEqual({ accepted: false, reason: 'full', retryAfterMs: 77 })
    expect((await writes.lag()).entries).toBe(answers.filter(({ accepted }) => accepted).length)
  })

  it('is of another number of partitions for nobody', async () => {
    await opened().ready()
    await expect(opened({ partitions: 9 }).write('a', {})).rejects.toThrow(/has 8 partitions, and not 9/)
  })
})

describe('many rows', () => {
  it('are read by one pipeline, in their order, and what does not wait by one load', async () => {
    await database.pool.query(`insert into ${table} (id, views) values ('old', 7), ('gone', 8)`)
    await using writes = opened()
    await writes.write('new', { title: 'one' })
    await writes.increment('old', 'views', 1)
    await writes.delete('gone')
    let pipelines = 0
    let calls = 0
    const counting: RedisPort = Object.assign(Object.create(port) as RedisPort, {
      namespace: port.namespace,
      call: (...args: Parameters<RedisPort['call']>) => {
        calls++
        return port.call(...args)
      },
      pipeline: (...args: Parameters<RedisPort['pipeline']>) => {
        pipelines++
        return port.pipeline(...args)
      },
      onEachPrimary: (...args: Parameters<RedisPort['onEachPrimary']>) => port.onEachPrimary(...args),
    })
    await using reads = new WriteBehind<Post>(counting, {
      name: table,
      partitions: 8,
      writeBatch: async () => {},
    })
    await reads.ready()
    calls = 0
    const asked: unknown[] = []
    const ids = ['new', 'a', 'gone', 'b', 'old', 'new']
    const found = await reads.readMany(ids, {
      load: async (some) => {
        asked.push(some)
        return some.map((id) => ({ title: `loaded ${String(id)}` }))
      },
    })
    expect(found).toEqual([
      { title: 'one' },
      { title: 'loaded a' },
      undefined,
      { title: 'loaded b' },
      { title: null, views: 8 },
      { title: 'one' },
    ])
    expect(asked).toEqual([['a', 'b']])
    expect([pipelines, calls]).toEqual([1, 0])
  })

  it('are loaded one by one where there is no other way, and not at all where all of them wait', async () => {
    await database.pool.query(`insert into ${table} (id, views) values ('old', 7)`)
    await using writes = opened()
    await writes.write('new', { title: 'one' })
    expect(await writes.readMany(['old', 'new', 'none'])).toEqual([
      { title: null, views: 7 },
      { title: 'one' },
      undefined,
    ])
    const load = async () => await Promise.reject(new Error('asked'))
    expect(await writes.readMany(['new'], { load })).toEqual([{ title: 'one' }])
    expect(await writes.readMany([], { load })).toEqual([])
    await expect(writes.readMany(['old'], { load })).rejects.toThrow('asked')
  })

  it('are those of the tenant', async () => {
    await using writes = opened({ load: undefined })
    await writes.forTenant('a').write('x', { title: 'of a' })
    expect(await writes.forTenant('b').readMany(['x'])).toEqual([undefined])
    expect(await writes.forTenant('a').readMany(['x'])).toEqual([{ title: 'of a' }])
    const load = async (_: unknown, { tenant }: { readonly tenant?: string }) => [{ title: `${tenant}` }]
    expect(await writes.forTenant('b').readMany(['x'], { load })).toEqual([{ title: 'b' }])
  })
})

it('the same id of two tenants is two rows', async () => {
  const tenants = `${table}_t`
  await database.pool.query(
    `create table ${tenants} (tenant text, id text, title text, primary key (tenant, id))`,
  )
  await using writes = opened({
    name: tenants,
    load: undefined,
    writeBatch: postgresWriter<Post>(database.pool, {
      table: tenants,
      name: tenants,
      columns: ({ value: { title = null } }) => ({ title }),
    }),
  })
  const [a, b] = [writes.forTenant('a'), writes.forTenant('b')]
  await a.write('7', { title: 'of a' })
  await b.write('7', { title: 'of b' })
  await b.write('8', { title: 'gone' })
  expect(await a.read('7')).toEqual({ title: 'of a' })
  writes.start()
  await writes.drain()
  await b.delete('8')
  await writes.drain()
  const { rows: found } = await database.pool.query(`select * from ${tenants} order by tenant`)
  expect(found).toEqual([
    { tenant: 'a', id: '7', title: 'of a' },
    { tenant: 'b', id: '7', title: 'of b' },
  ])
})

describe('processes that flush', () => {
  it('share the partitions, and take over what one leaves', async () => {
    const seen: string[] = []
    const by = (who: string) =>
      opened({
        writeBatch: async (batch) => {
          seen.push(...batch.map(({ id }) => `${who} ${String(id)}`))
        },
      })
    await using one = by('one')
    const two = by('two')
    one.start()
    two.start()
    await expect
      .poll(
        async () => {
          for (let n = 0; n < 40; n++) await one.write(`${n}`, {})
          await one.drain()
          const last = seen.splice(0)
          return ['one', 'two'].every((who) => last.filter((text) => text.startsWith(who)).length >= 5)
        },
        { timeout: 10_000 },
      )
      .toBe(true)
    await two.close()
    for (let n = 0; n < 40; n++) await one.write(`${n}`, {})
    await one.drain()
    expect(seen.filter((text) => text.startsWith('one')).length).toBeGreaterThanOrEqual(40)
  })
})

it('a paused flusher that comes back writes nothing over what is newer', async () => {
  const writer = () =>
    postgresWriter<Post>(database.pool, {
      table,
      name: table,
      columns: ({ value: { title = null } }) => ({ title }),
    })
  const [old, young] = [writer(), writer()]
  const signal = new AbortController().signal
  const line = (number: number, letter: string) => ({ number, tag: letter.repeat(8) })
  const at = (number: number, letter: string) => ({
    written: line(number, letter),
    seen: line(number, letter),
  })
  const first = await old.claim(0, signal)
  const batch = (title: string) => [{ id: 'a', deleted: false as const, value: { title } }]
  await old.write(batch('1'), {
    partition: 0,
    epoch: first?.epoch ?? 0n,
    from: first?.position ?? at(0, '\0'),
    to: at(1, 'a'),
    signal,
  })
  const second = await young.claim(0, signal)
  expect(second?.position).toEqual(at(1, 'a'))
  const next = { partition: 0, from: at(1, 'a'), signal }
  await young.write(batch('3'), { ...next, epoch: second?.epoch ?? 0n, to: at(3, 'c') })
  await expect(old.write(batch('2'), { ...next, epoch: first?.epoch ?? 0n, to: at(2, 'b') })).rejects.toThrow(
    'claimed',
  )
  // A second try of what was written changes nothing.
  await young.write(batch('x'), { ...next, epoch: second?.epoch ?? 0n, to: at(3, 'c') })
  expect(await rows()).toMatchObject([{ title: '3' }])
  await sleep(0)
})
