import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigurationError, UncacheableValueError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import {
  type PostgresWriterOptions,
  postgresWriter,
  WriteBehind,
  type WriteBehindOptions,
} from '../../../src/writebehind/index.js'
import type { TestDatabase } from '../../support/postgres.js'
import { closePlace, openPlace } from './place.js'

type Fields = Readonly<Record<string, unknown>>

let port: RedisPort
let database: TestDatabase
beforeAll(async () => {
  ;({ port, database } = await openPlace())
}, 60_000)
afterAll(async () => {
  await closePlace({ port, database })
})

const named = () => `bad_${randomUUID().slice(0, 8)}`

function opened(
  options: Partial<WriteBehindOptions<unknown>> & Pick<WriteBehindOptions<unknown>, 'writeBatch'>,
) {
  const heard: unknown[] = []
  const writes = new WriteBehind<unknown>(port, {
    name: named(),
    partitions: 1,
    flushIntervalMs: 5,
    leaseMs: 1000,
    onError: (error) => heard.push(error),
    ...options,
  })
  return { writes, heard }
}
const nothing = async () => {}
const until = (isSo: () => boolean | Promise<boolean>) =>
  vi.waitFor(async () => ((await isSo()) ? undefined : Promise.reject(new Error('not yet'))), {
    timeout: 15_000,
    interval: 5,
  })

describe('what is given to be written', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  it.each([
    ['nothing', undefined],
    ['a function', () => {}],
    ['a symbol', Symbol('x')],
    ['a circle', circle],
    ['a bigint', { n: 1n }],
    [
      'what throws when it is asked for its JSON',
      {
        toJSON: () => {
          throw new Error('no')
        },
      },
    ],
  ])('is refused before anything is sent if it is %s', async (_, value) => {
    const { writes } = opened({ writeBatch: nothing })
    await expect(writes.write('a', value)).rejects.toThrow(UncacheableValueError)
    expect(await writes.lag()).toMatchObject({ entries: 0 })
  })

  it.each([
    ['too long', 'x'.repeat(600)],
    ['too long together', ['x'.repeat(300), 'é'.repeat(150)]],
    ['empty', ''],
    ['of an empty part', ['a', '']],
    ['of no parts', []],
    ['of a number that is none', ['a', Number.NaN]],
    ['of a fraction', [1.5]],
    ['no id', 7 as unknown as string],
    ['of something else', [null] as unknown as readonly string[]],
  ])('is refused under an id that is %s', async (_, id) => {
    const { writes } = opened({ writeBatch: nothing })
    await expect(writes.write(id, 1)).rejects.toThrow(ConfigurationError)
    await expect(writes.delete(id)).rejects.toThrow(ConfigurationError)
    await expect(writes.read(id)).rejects.toThrow(ConfigurationError)
    expect(await writes.lag()).toMatchObject({ entries: 0 })
  })
})

it('a tenant that is none is refused, and its rows are not those of nobody', () => {
  const { writes } = opened({ writeBatch: nothing })
  for (const tenant of [undefined, null, 7] as unknown as readonly string[]) {
    expect(() => writes.forTenant(tenant)).toThrow(ConfigurationError)
  }
})

describe('a function that writes', () => {
  it('and says so before it has is believed: what it loses then is lost', async () => {
    const rows = new Map<string, unknown>()
    const { writes } = opened({
      writeBatch: (batch) => {
        setTimeout(() => batch.forEach((row) => rows.set(String(row.id), row)), 100)
        return Promise.resolve()
      },
    })
    await using closing = writes
    await closing.write('a', 1)
    closing.start()
    await closing.drain()
    expect(await closing.lag()).toMatchObject({ entries: 0 })
    expect(rows.size).toBe(0)
    await until(() => rows.size === 1)
  })

  it('and never settles holds up its partition alone, and only for its time', async () => {
    const [first, second] = [new Set<string>(), new Set<string>()]
    const { writes, heard } = opened({
      partitions: 8,
      writeTimeoutMs: 150,
      writeBatch: async (batch, { partition }) => {
        if (!first.has(String(partition)) && batch.some(({ id }) => id === '0')) {
          first.add(String(partition))
          await new Promise(() => {})
        }
        for (const { id } of batch) second.add(String(id))
      },
    })
    await using closing = writes
    for (let n = 0; n < 30; n++) await closing.write(`${n}`, n)
    closing.start()
    await closing.drain()
    expect(second.size).toBe(30)
    expect(heard.map(String).join()).toContain('has not done it within 150 ms')
    expect(await closing.deadLetters()).toEqual([])
  })

  it.each([
    ['text', 'away'],
    ['nothing', undefined],
    ['null', null],
    ['an object', { code: 1 }],
  ])('and throws %s is asked again, and whoever listens hears an error', async (_, thrown) => {
    let calls = 0
    const { writes, heard } = opened({
      // Not even a promise.
      writeBatch: () => {
        // oxlint-disable-next-line typescript/only-throw-error
        if (++calls <= 2) throw thrown
        return Promise.resolve()
      },
    })
    await using closing = writes
    await closing.write('a', 1)
    closing.start()
    await closing.drain()
    expect(calls).toBeGreaterThanOrEqual(3)
    expect(heard).toHaveLength(2)
    for (const error of heard) {
      expect(error).toBeInstanceOf(Error)
      expect((error as Error).cause).toBe(thrown)
    }
    expect(await closing.deadLetters()).toEqual([])
  })

  it('and throws nothing for one row gives that row up, in words', async () => {
    const { writes } = opened({
      writeBatch: {
        claim: async () => undefined,
        write: async (batch) => {
          // oxlint-disable-next-line typescript/only-throw-error
          if (batch.some(({ id }) => id === 'bad')) throw undefined
          await nothing()
        },
        isAboutRow: (error) => (error as { about: boolean } | undefined)?.about ?? true,
      },
    })
    await using closing = writes
    await closing.write('bad', 1)
    await closing.write('good', 1)
    closing.start()
    await closing.drain()
    expect(await closing.deadLetters()).toMatchObject([{ id: 'bad', error: 'undefined' }])
  })
})

/** A table that is not as it should be, and what mends it. */
async function broken(before: string, mend: string, options: Partial<PostgresWriterOptions<Fields>> = {}) {
  const table = named()
  const fill = (sql: string) => sql.replaceAll('TABLE', table)
  await database.pool.query(fill(before))
  const { writes, heard } = opened({
    name: table,
    writeBatch: postgresWriter<Fields>(database.pool, {
      name: table,
      table,
      columns: ({ value }) => value,
      ...options,
    }) as WriteBehindOptions<unknown>['writeBatch'],
  })
  for (const id of ['a', 'b']) await writes.write(id, { title: id })
  writes.start()
  return { table, writes, heard, mend: () => database.pool.query(fill(mend)) }
}

describe('a table', () => {
  it.each([
    [
      'does not exist',
      'select 1',
      'create table TABLE (id text primary key, title text)',
      /make bad_.*schema/,
    ],
    [
      'lacks a column',
      'create table TABLE (id text primary key)',
      'alter table TABLE add title text',
      /`columns`/,
    ],
    [
      'lacks the column of a key',
      'create table TABLE (title text)',
      'alter table TABLE add id text primary key',
      /`key`/,
    ],
    [
      'lacks an index of the key',
      'create table TABLE (id text, title text)',
      'create unique index on TABLE (id)',
      /primary key or unique index of exactly the columns/,
    ],
    [
      'has a column of another type that JSON does not become',
      'create table TABLE (id text primary key, title text generated always as (id) stored)',
      'drop table TABLE; create table TABLE (id text primary key, title text)',
      /settings of the writer/,
    ],
  ])(
    'that %s is told of with what to do, and then everything is written',
    async (_, before, mend, hint) => {
      const { table, writes, heard, mend: mended } = await broken(before, mend)
      await using closing = writes
      await until(() => heard.length >= 7)
      for (const error of heard) {
        expect(error).toBeInstanceOf(ConfigurationError)
        expect((error as Error).message).toMatch(hint)
      }
      expect(await closing.lag()).toMatchObject({ entries: 2 })
      expect(await closing.deadLetters()).toEqual([])
      await mended()
      await closing.drain()
      const { rows } = await database.pool.query(`select id, title from ${table} order by id`)
      expect(rows).toMatchObject([{ id: 'a' }, { id: 'b' }])
    },
    30_000,
  )

  it('that lacks a column gives up no row though others are taken', async () => {
    const table = named()
    await database.pool.query(`create table ${table} (id text primary key, title text)`)
    const { writes, heard } = opened({
      name: table,
      partitions: 2,
      writeBatch: postgresWriter<Fields>(database.pool, {
        name: table,
        table,
        columns: ({ value }) => value,
      }) as never,
    })
    await using closing = writes
    await closing.write('odd', { titel: 'x' })
    closing.start()
    for (let n = 0; heard.length < 8; n++) {
      await closing.write(`${n}`, { title: 'x' })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const { rows } = await database.pool.query(`select count(*)::int from ${table}`)
    expect(rows).not.toEqual([{ count: 0 }])
    expect(await closing.deadLetters()).toEqual([])
    expect(String(heard.at(-1))).toMatch(/titel/)
    await database.pool.query(`alter table ${table} add titel text`)
    await closing.drain()
    const { rows: odd } = await database.pool.query(`select titel from ${table} where id = 'odd'`)
    expect(odd).toEqual([{ titel: 'x' }])
  }, 30_000)

  it('leaves what a row does not name as it is, also beside rows that name it', async () => {
    const table = named()
    await database.pool.query(`create table ${table} (id text primary key, title text, n bigint)`)
    await database.pool.query(`insert into ${table} values ('a', 'old', 1), ('b', 'old', 1), ('c', 'old', 1)`)
    const { writes } = opened({
      name: table,
      writeBatch: postgresWriter<{ big?: string; title?: string }>(database.pool, {
        name: table,
        table,
        columns: ({ value: { big, title } }) => ({
          ...(title === undefined ? {} : { title }),
          ...(big === undefined ? {} : { n: BigInt(big) }),
        }),
      }) as never,
    })
    await using closing = writes
    await closing.write('a', { title: 'new' })
    await closing.write('b', { big: '9007199254740993' })
    await closing.delete('c')
    closing.start()
    await closing.drain()
    const { rows } = await database.pool.query(`select id, title, n::text from ${table} order by id`)
    expect(rows).toEqual([
      { id: 'a', title: 'new', n: '1' },
      { id: 'b', title: 'old', n: '9007199254740993' },
    ])
  })

  it.each([
    ['text with a zero', { title: 'a\u0000b' }, /Unicode|\\u0000/],
    ['half of a character', { title: '\ud800' }, /json|surrogate/i],
    ['a number out of range', { n: 2 ** 40 }, /out of range/],
    ['no number', { n: 'x' }, /integer/],
    ['what a constraint forbids', { n: -1 }, /check/],
    ['nothing where something has to be', { n: null }, /null/],
  ])('does not take %s: that row is given up, and the others are written', async (_, value, words) => {
    const table = named()
    await database.pool.query(
      `create table ${table} (id text primary key, title text, n integer not null default 0 check (n >= 0))`,
    )
    const { writes } = opened({
      name: table,
      writeBatch: postgresWriter<Fields>(database.pool, {
        name: table,
        table,
        columns: (row) => row.value,
      }) as never,
    })
    await using closing = writes
    for (const id of ['a', 'b', 'c']) await closing.write(id, { title: id, n: 1 })
    await closing.write('bad', value)
    closing.start()
    await closing.drain()
    const letters = await closing.deadLetters()
    expect(letters).toMatchObject([{ id: 'bad', row: { value } }])
    expect(letters[0]?.error).toMatch(words)
    const { rows } = await database.pool.query(`select id from ${table} order by id`)
    expect(rows).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'c' }])
  })

  it('gets nothing of a row whose columns cannot be made', async () => {
    const table = named()
    await database.pool.query(`create table ${table} (id text primary key, title text)`)
    const { writes } = opened({
      name: table,
      writeBatch: postgresWriter<{ title: string } | null>(database.pool, {
        name: table,
        table,
        columns: ({ value }) => ({ title: (value as { title: string }).title }),
      }) as never,
    })
    await using closing = writes
    await closing.write('bad', null)
    await closing.write('good', { title: 'x' })
    closing.start()
    await closing.drain()
    expect(await closing.deadLetters()).toMatchObject([
      { id: 'bad', error: expect.stringMatching(/null/) as string },
    ])
  })
})

describe('a user of the database', () => {
  it.each([
    ['the table', 'TABLE', /rights to select, insert, update and delete in bad_/],
    ['the positions', 'slotwise_writebehind', /rights to select, insert and update there/],
  ])('without rights to %s is told of, and then everything is written', async (_, forbidden, hint) => {
    const [table, role] = [named(), named()]
    const { pool } = database
    await pool.query(`create table ${table} (id text primary key, title text); create role ${role}`)
    const target = forbidden === 'TABLE' ? table : forbidden
    const all = `grant select, insert, update, delete on ${table}, slotwise_writebehind to ${role}`
    await pool.query(`${all}; revoke all on ${target} from ${role}`)
    const limited = database.another({ max: 4 })
    limited.on('connect', (client) => void client.query(`set role ${role}`))
    const { writes, heard } = opened({
      name: table,
      writeBatch: postgresWriter<Fields>(limited, {
        name: table,
        table,
        columns: ({ value }) => value,
      }) as never,
    })
    await using closing = writes
    await closing.write('a', { title: 'x' })
    closing.start()
    await until(() => heard.length >= 2)
    expect(heard[0]).toBeInstanceOf(ConfigurationError)
    expect(String(heard[0])).toMatch(hint)
    await pool.query(all)
    await closing.drain()
    const { rows } = await pool.query(`select id from ${table}`)
    expect(rows).toEqual([{ id: 'a' }])
    await closing.close()
    await pool.query(`drop owned by ${role}; drop role ${role}`)
  })

  it('who has not made the table of positions is told how', async () => {
    const table = named()
    const { pool } = database
    await pool.query(`create table ${table} (id text primary key, title text); create schema ${table}_s`)
    const elsewhere = database.another({ max: 4, options: `-c search_path=${table}_s` })
    const { writes, heard } = opened({
      name: table,
      writeBatch: postgresWriter<Fields>(elsewhere, {
        name: table,
        table: `public.${table}`,
        columns: ({ value }) => value,
      }) as never,
    })
    await using closing = writes
    await closing.write('a', { title: 'x' })
    closing.start()
    await until(() => heard.length >= 2)
    expect(heard[0]).toBeInstanceOf(ConfigurationError)
    expect(String(heard[0])).toMatch(/slotwise_writebehind.*writeBehindSql\(\)/)
    expect(await closing.lag()).toMatchObject({ entries: 1 })
  })
})
