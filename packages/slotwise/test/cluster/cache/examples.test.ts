import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Comment, findComment } from '../../../../../examples/caching/cache-aside.js'
import { RedisLevel } from '../../../../../examples/caching/redis-level.js'
import { Table } from '../../../../../examples/caching/table.js'
import { createComment } from '../../../../../examples/caching/write-through.js'
import { RedisUnavailableError } from '../../../src/errors.js'
import { testBed } from './caches.js'
import { heldLoad } from './gate.js'
import { nameOf, watched } from './watched-port.js'

const bed = testBed('examples')

const written = (): Comment => ({
  id: randomUUID(),
  tenantId: 'acme',
  entityId: randomUUID(),
  authorId: 'ann',
  content: 'hello',
})

const caches = (through = bed.port) => ({
  comments: bed.cache<Comment | null>({ name: 'comments' }, through),
  trees: bed.cache<readonly string[]>({ name: 'trees' }, through),
})

/** A database whose SELECT, after it has read, waits to be told that its rows are on the way. */
function slowReads(db: Table) {
  const held = heldLoad<void>()
  const query = async (text: string, values: unknown[]) => {
    const result = await db.query(text, values)
    if (text.includes('SELECT')) await held.load()
    return result
  }
  return { query, called: held.called, finish: () => held.finish() }
}

describe('2.1 cache-aside', () => {
  it('asks the database once for a hundred callers in four processes, and not at all once it is there', async () => {
    const [db, comment] = [new Table(), written()]
    await createComment(caches(), db, comment)
    await bed.cache<Comment | null>({ name: 'comments' }).forTenant('acme').invalidate(comment.id)
    db.queries = 0
    const processes = Array.from({ length: 4 }, () => caches().comments)
    const find = (i: number) => findComment(processes[i % 4] ?? caches().comments, db, 'acme', comment.id)
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => find(i)))
    expect([db.queries, ...new Set(all.map((found) => found?.content))]).toEqual([1, 'hello'])
    await expect.poll(async () => (await find(0), db.queries)).toBe(1)
  })

  it('asks once for what does not exist, and keeps tenants apart', async () => {
    const [db, comment, { comments, trees }] = [new Table(), written(), caches()]
    await createComment({ comments, trees }, db, comment)
    db.queries = 0
    expect(await findComment(comments, db, 'other', comment.id)).toBeNull()
    expect(await findComment(comments, db, 'acme', comment.id)).toEqual(comment)
    await expect.poll(() => comments.forTenant('other').get(comment.id)).toBeNull()
    expect(await findComment(comments, db, 'other', comment.id)).toBeNull()
    expect(db.queries).toBe(1)
  })

  it('stores nothing over a comment that was written while it looked', async () => {
    const [db, comment] = [new Table(), written()]
    const [reader, writer] = [caches(), caches()]
    const slow = slowReads(db)
    const overtaken = findComment(reader.comments, slow, 'acme', comment.id)
    await slow.called
    await createComment(writer, db, comment)
    slow.finish()
    expect(await overtaken).toBeNull()
    await reader.comments.close()
    expect(await findComment(writer.comments, db, 'acme', comment.id)).toEqual(comment)
  })

  it('asks the database when Redis does not answer, and an error of the database reaches the caller', async () => {
    const [db, comment] = [new Table(), written()]
    await createComment(caches(), db, comment)
    const away = watched(bed.port, async () => {
      throw new RedisUnavailableError('away')
    })
    const { comments } = caches(away)
    expect(await findComment(comments, db, 'acme', comment.id)).toEqual(comment)
    const broken = { query: async () => Promise.reject(new Error('no connection')) }
    await expect(findComment(comments, broken, 'acme', randomUUID())).rejects.toThrow('no connection')
  })
})

describe('2.2 write-through', () => {
  it('a comment is read without the database, and the tree shows it', async () => {
    const [db, comment, both] = [new Table(), written(), caches()]
    const tree = () =>
      both.trees.forTenant('acme').getOrLoad(comment.entityId, () => db.idsOf(comment.entityId))
    expect(await tree()).toEqual([])
    expect(await createComment(both, db, comment)).toBe('shown')
    db.queries = 0
    expect(await findComment(both.comments, db, 'acme', comment.id)).toEqual(comment)
    expect(db.queries).toBe(0)
    expect(await tree()).toEqual([comment.id])
  })

  it('a tree that was read before the comment was written is not stored after it', async () => {
    const [db, comment, both] = [new Table(), written(), caches()]
    const before = heldLoad<readonly string[]>()
    const tree = caches().trees.forTenant('acme').getOrLoad(comment.entityId, before.load)
    await before.called
    const old = db.idsOf(comment.entityId)
    await createComment(both, db, comment)
    before.finish(old)
    expect(await tree).toEqual([])
    const after = await both.trees
      .forTenant('acme')
      .getOrLoad(comment.entityId, () => db.idsOf(comment.entityId))
    expect(after).toEqual([comment.id])
  })

  it('an error of the database leaves nothing of the comment', async () => {
    const [db, comment, both] = [new Table(), written(), caches()]
    const broken = { query: async () => Promise.reject(new Error('no space')) }
    await expect(createComment(both, broken, comment)).rejects.toThrow('no space')
    expect(await findComment(both.comments, db, 'acme', comment.id)).toBeNull()
  })

  it('Redis away does not stop the write, and is told when it is back', async () => {
    const [db, comment] = [new Table(), written()]
    let isAway = true
    const flaky = watched(bed.port, async (call) => {
      if (isAway && nameOf(call) !== 'observe') throw new RedisUnavailableError('away')
    })
    const both = caches(flaky)
    expect(await createComment(both, db, comment)).toBe('shown soon')
    expect((await db.query('SELECT', [comment.id, 'acme'])).rows).toEqual([comment])
    expect(both.comments.stats().pending + both.trees.stats().pending).toBeGreaterThan(0)
    isAway = false
    await expect.poll(() => both.comments.stats().pending + both.trees.stats().pending).toBe(0)
    expect(await findComment(both.comments, db, 'acme', comment.id)).toEqual(comment)
  })
})

describe('2.4 the level in Redis', () => {
  it('gives what was set', async () => {
    const [level, id] = [new RedisLevel(bed.cache<number>({ name: 'totals' })), randomUUID()]
    const { value, token } = await level.get(id)
    expect([value, await level.set(id, 7, token), (await level.get(id)).value]).toEqual([undefined, true, 7])
  })

  it('stores nothing that was read before a change, whoever made it', async () => {
    const [slow, other, id] = [bed.cache<number>(), bed.cache<number>(), randomUUID()]
    const [mine, theirs] = [new RedisLevel(slow), new RedisLevel(other)]
    const [{ token: early }, { token }] = [await mine.get(id), await theirs.get(id)]
    expect(await theirs.set(id, 2, token)).toBe(true)
    expect(await mine.set(id, 1, early)).toBe(false)
    const { token: seen } = await mine.get(id)
    await other.invalidate(id)
    expect(await mine.set(id, 1, seen)).toBe(false)
    expect((await theirs.get(id)).value).toBeUndefined()
  })
})
