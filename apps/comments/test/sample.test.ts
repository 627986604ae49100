import { expect, it } from 'vitest'
import { migrate, openDatabase } from '../src/db/index.js'
import { rowId } from '../src/repositories/row-id.js'
import { ensureSample } from '../src/sample/index.js'
import { makeDatabase } from './support/service.js'

it('fills an empty database once, says in every text that it is a sample, and counts its likes right', async () => {
  const database = await makeDatabase()
  const dbs = Array.from({ length: 4 }, () => openDatabase(database.url, { connections: 1 }))
  const [db] = dbs
  expect.assert(db !== undefined)
  await migrate(db)
  expect((await Promise.all(dbs.map((one) => ensureSample(one)))).filter(Boolean)).toHaveLength(1)
  const query = async (sql: string) => (await db.pool.query(sql)).rows as Record<string, unknown>[]
  expect(await query('select plan from tenants order by id')).toEqual([
    { plan: 'ENTERPRISE' },
    { plan: 'STARTER' },
    { plan: 'FREE' },
  ])
  const texts = [
    ...(await query('select title as text from entities')),
    ...(await query('select content as text from comments')),
    ...(await query('select name as text from tenants')),
  ]
  expect(texts.length).toBeGreaterThan(800)
  expect(texts.filter(({ text }) => !/sample/i.test(String(text)))).toEqual([])
  // The same ids in every tenant, and a tree of some depth.
  expect(await query('select id from comments group by id having count(distinct tenant_id) <> 3')).toEqual([])
  const [deepest] = await query(`
    with recursive tree as (
      select tenant_id, id, 1 as depth from comments where parent_id is null
      union all
      select c.tenant_id, c.id, depth + 1 from comments c join tree t on c.tenant_id = t.tenant_id and c.parent_id = t.id
    ) select max(depth) as depth, count(*)::int as reached from tree`)
  expect(deepest?.['depth']).toBeGreaterThan(3)
  expect(deepest?.['reached']).toBe((await query('select from comments')).length)
  expect(
    await query(`
      select c.id from comments c left join likes l on l.tenant_id = c.tenant_id and l.comment_id = c.id
      group by c.tenant_id, c.id having c.likes <> count(l.user_id)`),
  ).toEqual([])
  // Found by the names under which the service writes them.
  const [reacted] = await query('select id, thread, comment_id, user_id from reactions limit 1')
  const { id, comment_id, user_id } = reacted as Record<string, string>
  expect(id).toBe(rowId(comment_id ?? '', user_id ?? ''))
  expect(
    await query(`
      select r.id from reactions r join comments c on c.tenant_id = r.tenant_id and c.id = r.comment_id
      join entity_views v on v.tenant_id = c.tenant_id and v.entity_id = c.entity_id where v.id <> r.thread`),
  ).toEqual([])
  expect((await query('select from entity_views where views > 0')).length).toBe(36)
  await Promise.all(dbs.map((one) => one.close()))
  await database.drop()
})

it('leaves a database alone that has a tenant of its own', async () => {
  const database = await makeDatabase()
  const db = openDatabase(database.url)
  await migrate(db)
  await db.pool.query(`insert into tenants (id, name, plan) values ('mine', 'Mine', 'FREE')`)
  expect(await ensureSample(db)).toBe(false)
  expect((await db.pool.query('select from comments')).rowCount).toBe(0)
  await db.close()
  await database.drop()
})
