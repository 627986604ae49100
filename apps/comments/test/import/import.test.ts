import fc from 'fast-check'
import { sql } from 'kysely'
import { describe, expect, it, vi } from 'vitest'
import { rounds } from '../../../../packages/slotwise/test/support/budget.js'
import type { Database } from '../../src/db/index.js'
import { DumpError, ImportRunningError, importDump } from '../../src/import/index.js'
import { answer, comment, dumpFolder, largeSite, SITE, vote, writeDump } from '../support/dump.js'
import { useService } from '../support/service.js'

const service = useService()

type Told = (comments: readonly string[], entities: readonly string[]) => Promise<void>

let serial = 0
const newName = () => `site-${++serial}`

/** Everything of a tenant that an import brings, without the tenant's name. */
async function contentOf({ kysely }: Database, tenant: string): Promise<unknown> {
  const rows = async (query: string) => (await sql.raw(query).execute(kysely)).rows
  const of = `where tenant_id = '${tenant}'`
  return {
    users: await rows(`select id, name from users ${of} order by id`),
    entities: await rows(`select id, title, created_at from entities ${of} order by id`),
    comments: await rows(
      `select id, entity_id, parent_id, author_id, content, likes, version, created_at, edited_at from comments ${of} order by id`,
    ),
    likes: await rows(`select comment_id, user_id from likes ${of} order by 1, 2`),
    views: await rows(`select entity_id, views::int from entity_views ${of} order by 1`),
  }
}

async function staged({ pool }: Database, tenant: string): Promise<number> {
  const { rows } = await pool.query('select count(*)::int as n from import_rows where tenant_id = $1', [
    tenant,
  ])
  return rows[0].n
}

async function isThere({ pool }: Database, tenant: string): Promise<boolean> {
  return (await pool.query('select from tenants where id = $1', [tenant])).rowCount === 1
}

describe('a dump', () => {
  it('becomes a tenant: questions are entities, answers comments, comments replies, up-votes likes', async () => {
    const tenant = newName()
    const result = await importDump(service.db, await dumpFolder(SITE), { tenant, plan: 'STARTER' })
    expect(result).toEqual({ earlier: 'none', users: 6, entities: 2, comments: 6, likes: 5, homeless: 1 })
    const created_at = new Date('2020-02-29T12:00:00Z')
    const plain = { created_at, edited_at: null, version: 1, likes: 0, parent_id: null, author_id: '1' }
    expect(await contentOf(service.db, tenant)).toEqual({
      users: [
        { id: '-1', name: 'Community' },
        { id: '1', name: 'Ann' },
        { id: '2', name: 'Ben & "Bo" <b>' },
        { id: '77', name: 'user 77' },
        { id: 'anonymous', name: 'anonymous' },
        { id: 'gone:Cleo', name: 'Cleo' },
      ],
      entities: [
        { id: '1', title: 'What is a slot?', created_at },
        { id: '3', title: 'Ça va? 東京 🙂', created_at },
      ],
      comments: [
        {
          ...plain,
          id: 'a2',
          entity_id: '1',
          content: 'One of 16,384.\n\n- a\n- b & c',
          likes: 2,
          edited_at: new Date('2020-03-01T01:02:03.450Z'),
        },
        { ...plain, id: 'c1', entity_id: '1', content: 'on the question' },
        {
          ...plain,
          id: 'c2',
          entity_id: '1',
          parent_id: 'a2',
          content: 'on the answer',
          author_id: '2',
          likes: 3,
        },
        { ...plain, id: 'c3', entity_id: '3', content: 'by nobody', author_id: 'anonymous' },
        { ...plain, id: 'c4', entity_id: '3', content: 'by one who left', author_id: 'gone:Cleo' },
        { ...plain, id: 'c5', entity_id: '3', content: 'by one who is not listed', author_id: '77' },
      ],
      likes: [
        { comment_id: 'a2', user_id: 'vote:1' },
        { comment_id: 'a2', user_id: 'vote:2' },
        { comment_id: 'c2', user_id: 'vote:2:1' },
        { comment_id: 'c2', user_id: 'vote:2:2' },
        { comment_id: 'c2', user_id: 'vote:2:3' },
      ],
      views: [
        { entity_id: '1', views: 321 },
        { entity_id: '3', views: 0 },
      ],
    })
    const { rows } = await service.db.pool.query('select plan, name from tenants where id = $1', [tenant])
    expect(rows).toEqual([{ plan: 'STARTER', name: tenant }])
  })

  it('is the same compressed, and nothing is left to do when it comes again', async () => {
    const [plain, packed] = [newName(), newName()]
    await importDump(service.db, await dumpFolder(SITE), { tenant: plain })
    const folder = await dumpFolder(SITE, { gzip: true })
    await importDump(service.db, folder, { tenant: packed, batchRows: 1 })
    const content = await contentOf(service.db, packed)
    expect(content).toEqual(await contentOf(service.db, plain))
    expect(await importDump(service.db, folder, { tenant: packed })).toMatchObject({
      earlier: 'finished',
      comments: 0,
    })
    expect(await contentOf(service.db, packed)).toEqual(content)
  })

  it('comes in once more if its tenant was deleted', async () => {
    const tenant = newName()
    const folder = await dumpFolder(SITE)
    await importDump(service.db, folder, { tenant })
    await service.db.pool.query('delete from tenants where id = $1', [tenant])
    expect(await importDump(service.db, folder, { tenant })).toMatchObject({ earlier: 'none', comments: 6 })
  })

  it('says how far it is, forwards only and to the end', async () => {
    const shares: number[] = []
    await importDump(service.db, await dumpFolder(largeSite(500)), {
      tenant: newName(),
      onProgress: ({ share }) => shares.push(share),
    })
    expect(shares.length).toBeGreaterThan(8)
    expect(shares).toEqual(shares.toSorted((a, b) => a - b))
    expect(shares.at(-1)).toBe(1)
  })
})

describe('an import that is interrupted', () => {
  it('shows nothing, and the next one goes on behind the last batch and ends as if nothing had been', async () => {
    const whole = newName()
    const folder = await dumpFolder(largeSite(150), { gzip: true })
    await importDump(service.db, folder, { tenant: whole })
    const content = await contentOf(service.db, whole)
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10, max: 400 }),
        fc.array(fc.integer({ min: 0, max: 10 }), { minLength: 1, maxLength: 4 }),
        async (batchRows, stops) => {
          const tenant = newName()
          for (const after of stops) {
            const before = await staged(service.db, tenant)
            const stop = new AbortController()
            let calls = 0
            const interrupted = importDump(service.db, folder, {
              tenant,
              batchRows,
              signal: stop.signal,
              onProgress: () => {
                if (calls++ >= after) stop.abort()
              },
            })
            await expect(interrupted).rejects.toThrow(/abort/i)
            expect(await isThere(service.db, tenant)).toBe(false)
            // What was there need not be read again.
            expect(await staged(service.db, tenant)).toBeGreaterThanOrEqual(before)
          }
          const resumed = (await staged(service.db, tenant)) > 0
          const { earlier } = await importDump(service.db, folder, { tenant, batchRows })
          expect(earlier).toBe(resumed ? 'unfinished' : 'none')
          expect(await contentOf(service.db, tenant)).toEqual(content)
          expect(await staged(service.db, tenant)).toBe(0)
        },
      ),
      { numRuns: rounds(20, 400) },
    )
  })

  it('begins anew when the dump has changed since', async () => {
    const tenant = newName()
    const folder = await dumpFolder(largeSite(300))
    const stop = new AbortController()
    const interrupted = importDump(service.db, folder, {
      tenant,
      batchRows: 10,
      signal: stop.signal,
      onProgress: ({ file }) => {
        if (file === 'Votes.xml') stop.abort()
      },
    })
    await expect(interrupted).rejects.toThrow(/abort/i)
    await writeDump(folder, SITE)
    const { earlier } = await importDump(service.db, folder, { tenant })
    const other = newName()
    await importDump(service.db, await dumpFolder(SITE), { tenant: other })
    expect(earlier).toBe('none')
    expect(await contentOf(service.db, tenant)).toEqual(await contentOf(service.db, other))
  })

  it('lets no second one into the tenant while it runs', async () => {
    const tenant = newName()
    const folder = await dumpFolder(SITE)
    let second: Promise<unknown> | undefined
    await importDump(service.db, folder, {
      tenant,
      onProgress: () => {
        second ??= importDump(service.db, folder, { tenant }).catch((error: unknown) => error)
      },
    })
    const outcome = await second
    // It came while the first was reading, or when all was done.
    expect(
      outcome instanceof ImportRunningError || (outcome as { earlier: string }).earlier === 'finished',
    ).toBe(true)
  })
})

describe('a tenant that has data', () => {
  it('keeps what it has, gets what is new, and whoever keeps copies is told of every change', async () => {
    const tenant = newName()
    const folder = await dumpFolder(SITE)
    const onChanged = vi.fn<Told>(async () => {})
    await importDump(service.db, folder, { tenant, onChanged })
    expect(onChanged).not.toHaveBeenCalled()

    await service.db.pool.query(
      `update comments set content = 'edited here', version = 2 where tenant_id = $1 and id = 'c1'`,
      [tenant],
    )
    await writeDump(folder, {
      ...SITE,
      Posts: [...SITE.Posts, answer(8, 3, '<p>new</p>')],
      Comments: [...SITE.Comments, comment(9, 8, 'newer')],
      Votes: [...SITE.Votes, vote(10, 2), vote(11, 8)],
    })
    const result = await importDump(service.db, folder, { tenant, onChanged })
    expect(result).toMatchObject({ entities: 0, users: 0, comments: 2, likes: 2 })
    const { rows } = await service.db.pool.query(
      'select id, content, likes from comments where tenant_id = $1 order by id',
      [tenant],
    )
    expect(rows).toEqual(
      expect.arrayContaining([
        { id: 'a2', content: expect.any(String), likes: 3 },
        { id: 'a8', content: 'new', likes: 1 },
        { id: 'c1', content: 'edited here', likes: 0 },
        { id: 'c9', content: 'newer', likes: 0 },
      ]),
    )
    expect(onChanged.mock.calls).toEqual([[expect.arrayContaining(['a2', 'a8']), ['1', '3']]])
  })

  it('has its copies forgotten by the next import when that failed', async () => {
    const tenant = newName()
    const folder = await dumpFolder(SITE)
    await importDump(service.db, folder, { tenant })
    await writeDump(folder, { ...SITE, Votes: [...SITE.Votes, vote(10, 2)] })
    const refused = importDump(service.db, folder, {
      tenant,
      onChanged: () => Promise.reject(new Error('gone')),
    })
    await expect(refused).rejects.toThrow('gone')
    const onChanged = vi.fn<Told>(async () => {})
    expect(await importDump(service.db, folder, { tenant, onChanged })).toMatchObject({ earlier: 'finished' })
    expect(onChanged.mock.calls).toEqual([[['a2'], ['1']]])
    await importDump(service.db, folder, { tenant, onChanged })
    expect(onChanged).toHaveBeenCalledOnce()
  })

  it('shares no id with another tenant', async () => {
    const [one, other] = [newName(), newName()]
    await importDump(service.db, await dumpFolder(SITE), { tenant: one })
    const before = await contentOf(service.db, one)
    const twisted = { ...SITE, Comments: SITE.Comments.map((row) => ({ ...row, Text: 'other', Score: 9 })) }
    await importDump(service.db, await dumpFolder(twisted), { tenant: other })
    expect(await contentOf(service.db, one)).toEqual(before)
  })
})

it('is a DumpError with its code when a list is missing', async () => {
  const refused = importDump(service.db, '/nowhere', { tenant: newName() })
  await expect(refused).rejects.toBeInstanceOf(DumpError)
  await expect(refused).rejects.toThrow(/no Users\.xml or Users\.xml\.gz/)
})
