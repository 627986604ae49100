import { pino } from 'pino'
import { RedisUnavailableError } from 'slotwise'
import { connect } from 'slotwise/ioredis'
import { keyOf, type RedisPort } from 'slotwise/redis'
import { WriteBehind } from 'slotwise/writebehind'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { type Service, startService } from '../src/compose.js'
import type { Reaction } from '../src/repositories/reactions.js'
import { rowId } from '../src/repositories/row-id.js'
import { Caches } from '../src/services/caches.js'
import { ReactionService } from '../src/services/reactions.js'
import { type Recent, RecentReactions } from '../src/services/recent.js'
import type { Api } from './support/api.js'
import { holdFlushers } from './support/flushing.js'
import { useService } from './support/service.js'

const service = useService()
let other: Service

beforeAll(async () => {
  other = await startService(service.config, { logger: pino({ level: 'silent' }) })
})
afterAll(() => other.close())

async function held(): Promise<() => Promise<void>> {
  const release = await holdFlushers(service.config.databaseUrl)
  onTestFinished(release)
  return release
}

/** A thread of two comments. */
async function scene() {
  const api = await service.tenant()
  await api.entity('e')
  const id = await api.comment('e', 'text')
  return { api, far: api.at(other.url), id, another: await api.comment('e', 'another') }
}
const react = (api: Api, id: string, user: string, kind: string) =>
  api.put(`/v1/comments/${id}/reaction`, { user, body: { kind } })
const unreact = (api: Api, id: string, user: string) => api.delete(`/v1/comments/${id}/reaction`, { user })
const written = async (api: Api) =>
  (
    await service.db.pool.query('select user_id, kind from reactions where tenant_id = $1 order by user_id', [
      api.tenant,
    ])
  ).rows

describe('a reaction', () => {
  it('is seen at once by its user and by others at every process before it is written, changed and taken back', async () => {
    const { api, far, id, another } = await scene()
    await held()
    expect((await react(api, id, 'ann', '👍')).body).toEqual({
      reactions: [{ kind: '👍', count: 1 }],
      reaction: '👍',
    })
    expect((await react(far, id, 'bob', '👍')).body.reactions).toEqual([{ kind: '👍', count: 2 }])
    expect((await react(far, id, 'ann', '🎉')).body).toEqual({
      reactions: [
        { kind: '👍', count: 1 },
        { kind: '🎉', count: 1 },
      ],
      reaction: '🎉',
    })
    for (const one of [api, far]) {
      expect((await one.get(`/v1/comments/${id}`, { user: 'ann' })).body).toMatchObject({ reaction: '🎉' })
      expect((await one.get(`/v1/comments/${id}`)).body).toMatchObject({ reaction: null })
      const { items } = (await one.get('/v1/entities/e/comments', { user: 'bob' })).body
      expect(items).toMatchObject([
        {
          reactions: [
            { kind: '👍', count: 1 },
            { kind: '🎉', count: 1 },
          ],
          reaction: '👍',
        },
        { id: another, reactions: [], reaction: null },
      ])
    }
    expect((await unreact(api, id, 'bob')).body).toEqual({
      reactions: [{ kind: '🎉', count: 1 }],
      reaction: null,
    })
    expect((await unreact(api, id, 'bob')).body.reactions).toEqual([{ kind: '🎉', count: 1 }])
    expect(await written(api)).toEqual([])
  })

  it('is one row in the end, however often it changed, and none if it was taken back', async () => {
    const { api, far, id } = await scene()
    const release = await held()
    const kinds = ['👍', '❤️', '😂', '🎉', '😮', '😢']
    for (let i = 0; i < 12; i++) await react(i % 2 === 0 ? api : far, id, 'ann', kinds[i % 6] ?? '')
    await react(api, id, 'bob', '👍')
    await unreact(api, id, 'bob')
    await release()
    await expect.poll(() => written(api), { timeout: 20_000 }).toEqual([{ user_id: 'ann', kind: '😢' }])
    // What is written changes as what waits does.
    expect((await react(far, id, 'ann', '👍')).body.reactions).toEqual([{ kind: '👍', count: 1 }])
    await expect.poll(() => written(api), { timeout: 20_000 }).toEqual([{ user_id: 'ann', kind: '👍' }])
    expect((await unreact(far, id, 'ann')).body.reactions).toEqual([])
    await expect.poll(() => written(api), { timeout: 20_000 }).toEqual([])
    expect((await api.get(`/v1/comments/${id}`)).body.reactions).toEqual([])
  }, 60_000)

  it('of many users is counted once each at every moment until all of them are written', async () => {
    const { api, far, id } = await scene()
    const users = Array.from({ length: 60 }, (_, i) => `user ${i}`)
    const kindOf = (i: number) => (i % 2 === 0 ? '👍' : '😮')
    await Promise.all(users.map((user, i) => react(i % 3 === 0 ? api : far, id, user, '😢')))
    await Promise.all(users.map((user, i) => react(i % 3 === 0 ? far : api, id, user, kindOf(i))))
    const all = [
      { kind: '👍', count: 30 },
      { kind: '😮', count: 30 },
    ]
    const done = async () => {
      const rows = await written(api)
      return rows.length === 60 && rows.every(({ kind }) => kind !== '😢')
    }
    do {
      const [one, two] = await Promise.all([api.get(`/v1/comments/${id}`), far.thread('e')])
      expect([one.body.reactions, two.body.items[0].reactions]).toEqual([all, all])
    } while (!(await done()))
    for (const one of [api, far]) expect((await one.thread('e')).body.items[0].reactions).toEqual(all)
  }, 60_000)

  it('has nothing to do with likes', async () => {
    const { api, id } = await scene()
    await react(api, id, 'ann', '❤️')
    expect((await api.put(`/v1/comments/${id}/like`, { user: 'ann' })).body).toEqual({
      likes: 1,
      alreadyLiked: false,
    })
    await unreact(api, id, 'ann')
    expect((await api.get(`/v1/comments/${id}`)).body).toMatchObject({ likes: 1, reactions: [] })
  })

  it('is refused to what is not there, and goes with what is deleted', async () => {
    const { api, id } = await scene()
    await react(api, id, 'bob', '👍')
    expect((await react(api, 'none', 'bob', '👍')).status).toBe(404)
    for (const kind of ['', 'x', '👍👍', '🙂']) expect((await react(api, id, 'bob', kind)).status).toBe(400)
    await api.delete(`/v1/comments/${id}`, { user: 'ann' })
    expect((await react(api, id, 'bob', '🎉')).status).toBe(404)
    expect((await unreact(api, id, 'bob')).status).toBe(404)
    expect((await api.thread('e')).body.items[0]).toMatchObject({ id, deleted: true, reactions: [] })
  })
})

/** Where recent reactions to a thread `e` of `t` are noted, and to note some as of earlier. */
async function notes() {
  const port = await connect({ nodes: inject('clusterNodes'), namespace: `recent-${Math.random()}` })
  onTestFinished(() => port.close())
  const space = { namespace: port.namespace, pattern: 'recent', name: 'reactions', tenant: 't' }
  return {
    port,
    before: async (minutes: number, thread: string, row: string) => {
      const key = keyOf(space, thread)
      const score = String(Date.now() - minutes * 60_000)
      await port.call({ key, command: ['ZADD', key, score, row], repeat: 'safe' })
    },
  }
}

it('what was noted as changed is forgotten once it does not wait, and not if it was changed again meanwhile', async () => {
  const { port, before } = await notes()
  const recent = new RecentReactions(port)
  // Those of one millisecond are in no order.
  const rows = async () => (await recent.of('t', 'e', 1000)).map(({ row }) => row).toSorted()
  for (const [i, row] of ['a', 'b', 'c', 'd', 'e'].entries()) await before(10 - i, 'e', row)
  await recent.note('t', 'e', 'new')
  expect(await rows()).toEqual(['a', 'b', 'c', 'd', 'e', 'new'])
  const read = await recent.of('t', 'e', 1000)
  await recent.note('t', 'e', 'a')
  await recent.settle('t', 'e', read, (row) => row === 'd')
  expect(await rows()).toEqual(['a', 'd', 'e', 'new'])
  await recent.settle('t', 'e', await recent.of('t', 'e', 1000), () => false)
  // These may be on their way.
  expect(await rows()).toEqual(['a', 'new'])
  await recent.settle('t', 'e', [], () => false)
  expect(await rows()).toEqual(['a', 'new'])
})

it('what was noted as changed is kept for as long as nobody says whether it waits', async () => {
  const { port, before } = await notes()
  let isAway = false
  const pipeline: RedisPort['pipeline'] = (calls, options) =>
    isAway ? Promise.reject(new RedisUnavailableError('away')) : port.pipeline(calls, options)
  // What waits lies elsewhere than what is noted, and so may be away alone.
  const through = new Proxy(port, {
    get(target, name) {
      if (name === 'pipeline') return pipeline
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
  await using behind = new WriteBehind<Reaction>(through, { name: 'reactions', writeBatch: async () => {} })
  let settled = 0
  class Watched extends RecentReactions {
    override async settle(...args: readonly [string, string, readonly Recent[], (row: string) => boolean]) {
      await super.settle(...args)
      settled++
    }
  }
  const errors: unknown[] = []
  await using caches = new Caches(port, { enabled: false })
  const reactions = new ReactionService({
    behind,
    caches,
    recent: new Watched(port),
    reactions: { ofThread: () => Promise.resolve([]) },
    comments: { find: () => Promise.resolve(undefined) },
    onError: (error) => errors.push(error),
  })
  const [thread, row] = [rowId('e'), rowId('comment', 'ann')]
  const reaction = { commentId: 'comment', userId: 'ann', kind: '👍' }
  await before(10, thread, row)
  await behind.forTenant('t').write([thread, row], reaction)
  const shown = async () => (await reactions.of('t', 'e', 'ann'))('comment').reaction
  isAway = true
  expect(await shown()).toBeNull()
  await expect.poll(() => settled).toBe(1)
  isAway = false
  expect(await shown()).toBe('👍')
  expect(errors).toEqual([])
})
