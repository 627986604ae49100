import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Concerned,
  installOutbox,
  outboxSql,
  unwatchSql,
  watchSql,
} from '../../../../src/invalidation/index.js'
import { type TestDatabase, testDatabase } from '../../../support/postgres.js'

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase()
  await installOutbox(database.pool)
}, 60_000)
afterAll(() => database[Symbol.asyncDispose]())

/** A table of a test's own with a tenant, an id, two more columns, and whatever it concerns. */
async function watched(concerned: readonly Concerned[] = [{ name: 'c', entry: '{id}' }]): Promise<string> {
  const table = `t_${randomUUID().slice(0, 8)}`
  await database.pool.query(`create table ${table} (id bigint, org text, parent text, "Title" text)`)
  await database.pool.query(watchSql(table, concerned))
  return table
}

/** What the outbox holds of a table, in order, and holds no more. */
async function taken(table: string): Promise<readonly unknown[]> {
  const { rows } = await database.pool.query(
    'delete from slotwise_outbox where source = $1 returning id, name, tenant, entry, tags, everything, payload, operation',
    [`public.${table}`],
  )
  return (rows as Record<string, unknown>[])
    .toSorted((a, b) => Number(a['id']) - Number(b['id']))
    .map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([name, value]) => name !== 'id' && value !== null && value !== false),
      ),
    )
}

describe('the statements that make an outbox', () => {
  it('can be run again and by many at once, and keep what is there', async () => {
    const options = { table: 'again.box' }
    await database.pool.query('create schema again')
    await Promise.all(Array.from({ length: 8 }, () => installOutbox(database.pool, options)))
    await database.pool.query("insert into again.box (name, tags) values ('a', '{b}')")
    await database.pool.query(outboxSql(options))
    await installOutbox(database.pool, options)
    const { rows } = await database.pool.query('select count(*)::int as n from again.box')
    expect(rows).toEqual([{ n: 1 }])
  })

  it('leave alone what a newer version made', async () => {
    const options = { table: 'newer' }
    await installOutbox(database.pool, options)
    await database.pool.query("comment on table newer is 'slotwise outbox 2: of tomorrow'")
    await expect(installOutbox(database.pool, options)).rejects.toMatchObject({
      code: 'CONFIGURATION',
      message: expect.stringContaining('use the newer one') as string,
    })
    await expect(database.pool.query(outboxSql(options))).rejects.toThrow('newer version than 1')
  })

  it.each(['', 'Box', 'a.b.c', 'box"; drop table x; --', 'x'.repeat(41), '1box'])(
    'refuse the name %j for a table',
    (table) => {
      expect(() => outboxSql({ table })).toThrow('table must be')
    },
  )

  it('refuse a name for a channel that is none', () => {
    expect(() => outboxSql({ channel: "a'b" })).toThrow('channel must be')
  })
})

describe('a watched table', () => {
  it('notes what a row concerns: before and after a change, each once', async () => {
    const table = await watched([
      { name: 'items', tenant: '{org}', entry: '{id}' },
      { name: 'trees', tenant: '{org}', entry: ['tree', '{parent}'] },
      { name: 'pages', tags: ['org:{org}/items', 'all'] },
    ])
    await database.pool.query(`insert into ${table} values (1, 'acme', 'x', 'one'), (2, 'acme', 'x', 'two')`)
    expect(await taken(table)).toEqual([
      { name: 'items', tenant: 'acme', entry: ['1'], operation: 'INSERT' },
      { name: 'items', tenant: 'acme', entry: ['2'], operation: 'INSERT' },
      { name: 'trees', tenant: 'acme', entry: ['tree', 'x'], operation: 'INSERT' },
      { name: 'pages', tags: ['all'], operation: 'INSERT' },
      { name: 'pages', tags: ['org:acme/items'], operation: 'INSERT' },
    ])
    await database.pool.query(`update ${table} set parent = 'y' where id = 1`)
    expect(await taken(table)).toMatchObject([
      { name: 'items', entry: ['1'] },
      { name: 'trees', entry: ['tree', 'x'] },
      { name: 'trees', entry: ['tree', 'y'] },
      { tags: ['all'] },
      { tags: ['org:acme/items'] },
    ])
    await database.pool.query(`delete from ${table} where id = 2`)
    expect(await taken(table)).toMatchObject([
      { name: 'items', entry: ['2'], operation: 'DELETE' },
      { entry: ['tree', 'x'] },
      { tags: ['all'] },
      { tags: ['org:acme/items'] },
    ])
  })

  it('leaves out what a row without the column has not, and keeps what is special in a value', async () => {
    const table = await watched([
      { name: 'trees', entry: ['{parent}'] },
      { name: 'pages', tags: [`it's {parent} \\ "{Title}"`] },
    ])
    await database.pool.query(`insert into ${table} values (1, 'a', null, 'x')`)
    expect(await taken(table)).toEqual([])
    await database.pool.query(`insert into ${table} values (1, 'a', $1, $2)`, [`a'b\\c{d}`, 'E"'])
    expect(await taken(table)).toMatchObject([{ entry: [`a'b\\c{d}`] }, { tags: [`it's a'b\\c{d} \\ "E""`] }])
  })

  it('tells of a change the newer payload', async () => {
    const table = await watched([{ name: 'c', entry: '{id}', payload: ['Title', 'org'] }])
    await database.pool.query(`insert into ${table} values (1, null, null, 'old')`)
    await database.pool.query(`update ${table} set "Title" = 'new'`)
    expect(await taken(table)).toMatchObject([
      { payload: { Title: 'old', org: null } },
      { payload: { Title: 'new', org: null } },
    ])
  })

  it('notes everything of each name when it is emptied, and nothing of a change of no row', async () => {
    const table = await watched([
      { name: 'c', entry: '{id}' },
      { name: 'pages', tags: ['all'] },
    ])
    await database.pool.query(`update ${table} set org = 'x'`)
    expect(await taken(table)).toEqual([])
    await database.pool.query(`truncate ${table}`)
    expect(await taken(table)).toEqual([
      { name: 'c', everything: true, operation: 'TRUNCATE' },
      { name: 'pages', everything: true, operation: 'TRUNCATE' },
    ])
  })

  it('notes what MERGE, upserts and cascades change', async () => {
    const table = await watched()
    await database.pool.query(`alter table ${table} add primary key (id)`)
    await database.pool.query(`insert into ${table} values (1), (2)`)
    await taken(table)
    await database.pool.query(`insert into ${table} values (2), (3) on conflict (id) do update set org = 'x'`)
    expect(await taken(table)).toMatchObject([
      { entry: ['2'], operation: 'UPDATE' },
      { entry: ['3'], operation: 'INSERT' },
    ])
    await database.pool.query(
      `merge into ${table} as t using (values (2), (4)) as s (id) on t.id = s.id
         when matched then delete when not matched then insert (id) values (s.id)`,
    )
    const merged = (await taken(table)) as { operation: string }[]
    expect(merged.toSorted((a, b) => a.operation.localeCompare(b.operation))).toMatchObject([
      { entry: ['2'], operation: 'DELETE' },
      { entry: ['4'], operation: 'INSERT' },
    ])
    const child = await watched([{ name: 'children', entry: '{id}' }])
    await database.pool.query(
      `alter table ${child} add foreign key (id) references ${table} on delete cascade`,
    )
    await database.pool.query(`insert into ${child} values (1)`)
    await taken(child)
    await database.pool.query(`delete from ${table} where id = 1`)
    expect(await taken(child)).toMatchObject([{ name: 'children', entry: ['1'], operation: 'DELETE' }])
  })

  it('is written to by roles that have no right on the outbox', async () => {
    const table = await watched()
    const role = `writer_${randomUUID().slice(0, 8)}`
    await database.pool.query(`create role ${role}; grant insert on ${table} to ${role}`)
    const client = await database.pool.connect()
    try {
      await client.query(`set role ${role}`)
      await client.query(`insert into ${table} values (1)`)
      await expect(client.query('select * from slotwise_outbox')).rejects.toThrow('permission denied')
      await client.query('create temporary table mine (id bigint)')
      await expect(client.query(watchSql('mine', [{ name: 'c', entry: '{id}' }]))).rejects.toThrow(
        'permission denied for function public.slotwise_outbox_note',
      )
    } finally {
      client.release(true)
    }
    expect(await taken(table)).toMatchObject([{ entry: ['1'] }])
  })

  it.each<[string, readonly Concerned[]]>([
    ['has no column nobody', [{ name: 'c', entry: '{nobody}' }]],
    ['has no column title', [{ name: 'c', tags: ['a', 'b:{title}'] }]],
    ['has no column none', [{ name: 'c', tenant: '{none}', entry: '{id}' }]],
    ['has no column gone', [{ name: 'c', entry: '{id}', payload: ['id', 'gone'] }]],
    ['belongs to no column', [{ name: 'c', entry: 'a{id' }]],
    ['which are not empty', [{ name: 'c', entry: [] }]],
  ])('is refused at once with “%s”', async (message, concerned) => {
    await expect(watched(concerned)).rejects.toThrow(message)
  })

  it('notes what it was told last, and nothing when it is no longer watched', async () => {
    const table = await watched()
    await database.pool.query(watchSql(`public.${table}`, [{ name: 'other', entry: '{id}' }]))
    await database.pool.query(`insert into ${table} values (1)`)
    expect(await taken(table)).toMatchObject([{ name: 'other', entry: ['1'] }])
    await database.pool.query(unwatchSql(table))
    await database.pool.query(`insert into ${table} values (2)`)
    expect(await taken(table)).toEqual([])
    expect(() => watchSql('a.b.c', [{ name: 'c', entry: 'x' }])).toThrow('a table must be')
    expect(() => watchSql('a', [])).toThrow('must concern something')
  })

  it('notes nothing of who says that it tells everybody itself, for as long as it says so', async () => {
    const table = await watched()
    const insert = (id: number) => `insert into ${table} (id) values (${id})`
    const client = await database.pool.connect()
    try {
      await client.query("begin; set local slotwise_outbox.quiet = 'on'")
      await client.query(insert(1))
      await client.query('commit')
      await client.query(insert(2))
      await client.query("set slotwise_outbox.quiet = 'on'")
      await client.query(insert(3))
      await database.pool.query(insert(4))
      await client.query('reset slotwise_outbox.quiet')
    } finally {
      client.release()
    }
    expect((await taken(table)).map((row) => (row as { entry: string[] }).entry)).toEqual([['2'], ['4']])
  })

  it('takes a change of many rows as one statement', async () => {
    const table = await watched([
      { name: 'c', entry: '{id}' },
      { name: 'pages', tags: ['org:{org}'] },
    ])
    const plain = `p_${randomUUID().slice(0, 8)}`
    await database.pool.query(`create table ${plain} (like ${table})`)
    const timed = async (target: string): Promise<number> => {
      await database.pool.query(`insert into ${target} select n, 'acme' from generate_series(1, 20000) as n`)
      const from = performance.now()
      await database.pool.query(`update ${target} set "Title" = 'x'`)
      return performance.now() - from
    }
    const [unwatched, ours] = [await timed(plain), await timed(table)]
    console.log(`an update of 20,000 rows: ${unwatched.toFixed(0)} ms, watched ${ours.toFixed(0)} ms`)
    expect(await taken(table)).toHaveLength(2 * (20_000 + 1))
    expect(ours).toBeLessThan(unwatched + 3000)
  })
})
