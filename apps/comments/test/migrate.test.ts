import { describe, expect, it } from 'vitest'
import { migrate, openDatabase } from '../src/db/index.js'
import { makeDatabase } from './support/service.js'

describe('the schema', () => {
  it('is made once by however many processes start at the same moment', async () => {
    const database = await makeDatabase()
    const many = Array.from({ length: 8 }, () => openDatabase(database.url, { connections: 1 }))
    const made = await Promise.all(many.map((db) => migrate(db)))
    expect(made.filter((names) => names.length > 0)).toHaveLength(1)
    const [first] = many
    expect(first === undefined ? [] : await migrate(first)).toEqual([])
    await Promise.all(many.map((db) => db.close()))
    await database.drop()
  })

  it('carries the tenant in every table, and every primary key of a tenant begins with it', async () => {
    const database = await makeDatabase()
    const db = openDatabase(database.url)
    await migrate(db)
    const { rows } = await db.pool.query<{ table: string; columns: string[]; key: string[] }>(`
      select c.relname as table,
        (select array_agg(attname::text order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0) as columns,
        (select array_agg(a.attname::text order by k.n) from pg_index i,
          unnest(i.indkey) with ordinality as k (attnum, n), pg_attribute a
          where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum) as key
      from pg_class c join pg_namespace s on s.oid = c.relnamespace
      where c.relkind = 'r' and s.nspname = 'public' and c.relname <> 'migrations' and c.relname <> 'tenants'
    `)
    expect(rows.length).toBeGreaterThanOrEqual(5)
    for (const { table, columns, key } of rows) {
      // The outbox holds names of what is to be told, for a moment, and nothing of what it says; the positions of journals, the
      // tokens of locks and the days of recounts tell nothing of anybody.
      if (table.startsWith('import_') || table.startsWith('slotwise_') || table === 'recounts') continue
      expect([table, columns]).toEqual([table, expect.arrayContaining(['tenant_id'])])
      // A key is looked up before it is known whose it is.
      if (table !== 'api_keys') expect([table, key[0]]).toEqual([table, 'tenant_id'])
    }
    await db.close()
    await database.drop()
  })
})
