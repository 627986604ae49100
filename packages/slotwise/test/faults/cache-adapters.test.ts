import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bentocacheDriver } from '../../src/cache/bentocache/index.js'
import { KeyvStore, type KeyvStoreOptions } from '../../src/cache/keyv/index.js'
import { NextCache } from '../../src/cache/next/index.js'
import { unstorageDriver } from '../../src/cache/unstorage/index.js'
import { moveSlots } from '../../src/cluster/index.js'
import { InvalidationPendingError, RedisUnavailableError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import { type ClusterNode, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { portWith } from '../support/port-with.js'
import { steadyCluster } from '../support/steady-cluster.js'

const NAME = 'test'
let cluster: LocalCluster
let port: RedisPort

beforeAll(async () => {
  cluster = await steadyCluster()
  // A node that hangs is given up after this, by what has no budget of its own.
  port = await connect({ ...cluster.connectOptions, namespace: 'faults', commandTimeoutMs: 1000 })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const fresh = (): string => randomUUID().slice(0, 8)
const BUDGET_MS = 50
/** What a shared machine may add to a budget. */
const SLACK_MS = 300

function storeOf(namespace: string, options: Partial<KeyvStoreOptions> = {}, through = port): KeyvStore {
  const store = new KeyvStore(through, { name: NAME, budgetMs: { min: 3000, max: 3000 }, ...options })
  store.namespace = namespace
  return store
}
const keyFor = (space: string, word: string) =>
  keyOf({ namespace: port.namespace, pattern: 'cache', name: NAME, tenant: space }, [word])

/** Words of a namespace whose entries a node holds. */
function wordsAt(node: { readonly port: number } | undefined, space: string, count: number): string[] {
  const words: string[] = []
  for (let i = 0; words.length < count; i++) {
    if (port.topology().ownerOf(slotOf(keyFor(space, `w${i}`)))?.port === node?.port) words.push(`w${i}`)
  }
  return words
}

async function timed<R>(act: () => Promise<R>): Promise<{ readonly result: R; readonly ms: number }> {
  const from = performance.now()
  const result = await act()
  return { result, ms: performance.now() - from }
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

describe('while a primary hangs', () => {
  it('reads of Keyv find nothing within their budget, say so, and others are not affected', async () => {
    const space = fresh()
    const [hung, fine] = [wordsAt(cluster.nodes[0], space, 30), wordsAt(cluster.nodes[1], space, 30)].map(
      (words) => words.map((word) => `${space}:${word}`),
    )
    expect.assert(hung !== undefined && fine !== undefined)
    const writer = storeOf(space)
    await writer.setMany([...hung, ...fine].map((key) => ({ key, value: 'v' })))
    const told: unknown[] = []
    const store = storeOf(space, { budgetMs: BUDGET_MS, onError: (error) => told.push(error) })
    const heard: unknown[] = []
    store.on('error', (error) => heard.push(error))
    await cluster.pause(0)
    try {
      const single = await timed(() => Promise.all(hung.map((key) => store.get(key))))
      expect(single.result).toEqual(hung.map(() => undefined))
      const many = await timed(() => store.getMany([...hung, ...fine]))
      expect(many.result).toEqual([...hung.map(() => undefined), ...fine.map(() => 'v')])
      for (const { ms } of [single, many]) expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS)
      expect(heard.length).toBeGreaterThan(0)
      expect(told.length).toBeGreaterThanOrEqual(heard.length)
      const others = storeOf(space)
      expect((await timed(() => Promise.all(fine.map((key) => others.get(key))))).result).toEqual(
        fine.map(() => 'v'),
      )
      // Without a listener it is only not thrown.
      expect(await storeOf(space, { budgetMs: BUDGET_MS }).has(hung[0] ?? '')).toBe(false)
    } finally {
      await cluster.resume(0)
    }
    await expect.poll(() => writer.getMany(hung), { timeout: 10_000 }).toEqual(hung.map(() => 'v'))
  })

  it('writes reject, and what could not be overwritten is not there once they have settled', async () => {
    const space = fresh()
    const [word = ''] = wordsAt(cluster.nodes[0], space, 1)
    const key = `${space}:${word}`
    const [store, elsewhere] = [storeOf(space), storeOf(space)]
    await store.set(key, 'older')
    await cluster.pause(0)
    let set: unknown
    let deleted: unknown
    try {
      set = await failure(store.set(key, 'newer'))
      deleted = await failure(store.deleteMany([key]))
      expect((await timed(() => store.get(key))).result).toBeUndefined()
    } finally {
      await cluster.resume(0)
    }
    expect.assert(set instanceof InvalidationPendingError)
    expect.assert(deleted instanceof InvalidationPendingError)
    expect(await Promise.all([set.settled, deleted.settled])).toEqual([true, true])
    expect(await elsewhere.get(key)).toBeUndefined()
    expect(await store.set(key, 'newest')).toBe(true)
    expect(await elsewhere.get(key)).toBe('newest')
    await store.disconnect()
  })

  it('a list, an iterator and clear reject rather than leave out what it holds', async () => {
    const space = fresh()
    const store = storeOf(space)
    const driver = unstorageDriver(port, { name: fresh() })
    await store.set(`${space}:k`, 'v')
    await cluster.pause(0)
    try {
      const iterate = async () => {
        for await (const _ of store.iterator(space)) expect(_).toBeDefined()
      }
      const errors = await Promise.all(
        [iterate(), store.clear(), driver.getKeys(), driver.clear()].map(failure),
      )
      for (const error of errors) expect(error).toBeInstanceOf(Error)
    } finally {
      await cluster.resume(0)
    }
    await expect.poll(() => store.get(`${space}:k`), { timeout: 10_000 }).toBe('v')
  })

  it('a store that is told to tells "not there" from "not known"', async () => {
    const space = fresh()
    const [hung = ''] = wordsAt(cluster.nodes[0], space, 1)
    const [fine = ''] = wordsAt(cluster.nodes[1], space, 1)
    const options = { name: NAME, base: space, whenUnavailable: 'throw', budgetMs: BUDGET_MS } as const
    const driver = unstorageDriver(port, options)
    const missing = unstorageDriver(port, { ...options, whenUnavailable: 'miss' })
    await cluster.pause(0)
    try {
      for (const read of [driver.getItem, driver.hasItem, driver.getItemRaw, driver.getMeta]) {
        expect(await failure(read(hung))).toBeInstanceOf(RedisUnavailableError)
      }
      expect(await failure(driver.getItems([{ key: fine }, { key: hung }]))).toBeInstanceOf(
        RedisUnavailableError,
      )
      expect(await driver.getItem(fine)).toBeNull()
      expect(await missing.getItem(hung)).toBeNull()
      expect(await missing.getMeta(hung)).toBeNull()
    } finally {
      await cluster.resume(0)
    }
    await expect.poll(() => failure(driver.getItem(hung)), { timeout: 10_000 }).toBeUndefined()
  })
})

describe('while all primaries hang', () => {
  const page = (tag: string) => ({ kind: 'APP_PAGE', html: 'p', headers: { 'x-next-cache-tags': tag } })

  it('a page of Next waits for them once, whatever it is made of, and what it revalidates is not lost', async () => {
    const name = fresh()
    const tag = fresh()
    const make = (budgetMs: number) => new NextCache(port, { name, buildId: 'b', budgetMs })
    const [cache, elsewhere] = [make(BUDGET_MS), make(3000)]
    const { useCache } = cache
    const request = () => new cache.CacheHandler()
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
    const entry = () => ({
      value: new Blob(['v']).stream() as ReadableStream<Uint8Array>,
      tags: [tag],
      stale: 1,
      expire: 600,
      revalidate: 600,
      timestamp: performance.timeOrigin + performance.now(),
    })
    for (const key of keys) await elsewhere.useCache.set(key, Promise.resolve(entry()))
    await new elsewhere.CacheHandler().set('/p', page(tag))
    await Promise.all([0, 1, 2].map((i) => cluster.pause(i)))
    let revalidation: unknown
    try {
      const { ms } = await timed(async () => {
        const handler = request()
        expect(await handler.get('/p', {})).toBeNull()
        for (const key of keys) {
          await useCache.refreshTags()
          expect(await useCache.get(key, ['_N_T_/p'])).toBeUndefined()
          await useCache.set(key, Promise.resolve(entry()))
        }
        await handler.set('/p', page(tag))
      })
      expect(ms).toBeLessThan(BUDGET_MS + SLACK_MS)
      const change = await timed(() => failure(useCache.updateTags([tag])))
      expect(change.ms).toBeLessThan(1000 + SLACK_MS)
      revalidation = change.result
    } finally {
      await Promise.all([0, 1, 2].map((i) => cluster.resume(i)))
    }
    expect.assert(revalidation instanceof InvalidationPendingError)
    expect(await revalidation.settled).toBe(true)
    expect(await elsewhere.useCache.get('k0')).toBeUndefined()
    expect(await new elsewhere.CacheHandler().get('/p', {})).toBeNull()
    // And it is a cache again.
    await expect
      .poll(
        async () => {
          await request().set('/q', page(fresh()))
          return await request().get('/q', {})
        },
        { timeout: 10_000 },
      )
      .not.toBeNull()
    await Promise.all([cache.close(), elsewhere.close()])
  })

  it('a revalidation that is under way as they stop answering waits no longer than one call may', async () => {
    const tag = fresh()
    const cache = new NextCache(port, { name: fresh(), buildId: 'b', budgetMs: BUDGET_MS })
    const { useCache } = cache
    await useCache.updateTags([tag])
    await Promise.all([0, 1, 2].map((i) => cluster.pause(i)))
    let change: { readonly ms: number; readonly result: unknown }
    try {
      change = await timed(() => failure(useCache.updateTags([tag])))
    } finally {
      await Promise.all([0, 1, 2].map((i) => cluster.resume(i)))
    }
    expect(change.ms).toBeLessThan(1000 + SLACK_MS)
    expect.assert(change.result instanceof InvalidationPendingError)
    expect(await change.result.settled).toBe(true)
    await cache.close()
  })
})

/** A slot of a namespace that is moved as far as one of its entries: words of what stays, what has moved, what is absent. */
async function halfMove(
  space: string,
  from: ClusterNode,
  to: ClusterNode,
  prepare: (words: string[]) => Promise<void>,
) {
  const bySlot = new Map<number, string[]>()
  for (let i = 0; ; i++) {
    const slot = slotOf(keyFor(space, `w${i}`))
    if (port.topology().ownerOf(slot)?.id !== from.id) continue
    const words = [...(bySlot.get(slot) ?? []), `w${i}`]
    bySlot.set(slot, words)
    if (words.length < 3) continue
    const [stays = '', moves = '', absent = ''] = words
    await prepare([stays, moves])
    await port.onNode(to.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id])
    await port.onNode(from.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id])
    const migrate = async (word: string) =>
      await port.onNode(from.id, ['MIGRATE', to.host, to.port, keyFor(space, word), 0, 1000])
    await migrate(moves)
    const finish = async () => {
      const keys = (await port.onNode(from.id, ['CLUSTER', 'GETKEYSINSLOT', slot, 100])) as string[]
      if (keys.length > 0)
        await port.onNode(from.id, ['MIGRATE', to.host, to.port, '', 0, 1000, 'KEYS', ...keys])
      for (const { id } of [to, from, ...port.topology().nodes]) {
        await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', to.id])
      }
    }
    return { stays, moves, absent, migrate, finish }
  }
}

function primaries(): readonly [ClusterNode, ClusterNode] {
  const [first, second] = port.topology().nodes.filter(({ role }) => role === 'primary')
  expect.assert(first !== undefined && second !== undefined)
  return [first, second]
}

describe('while slots move', () => {
  it('everything goes on in one that is half moved', async () => {
    const space = fresh()
    const store = storeOf(space)
    const { factory } = bentocacheDriver(port, { name: NAME, budgetMs: { min: 3000, max: 3000 } })
    const bento = factory({ prefix: space })
    const [to, from] = primaries()
    const { stays, moves, absent, finish } = await halfMove(space, from, to, async (words) => {
      await store.setMany(words.map((word) => ({ key: `${space}:${word}`, value: 'v' })))
    })
    const keys = [stays, moves, absent].map((word) => `${space}:${word}`)
    expect(await store.getMany(keys)).toEqual(['v', 'v', undefined])
    for (const key of keys) expect(await store.set(key, 'set', 60_000)).toBe(true)
    expect(await bento.pull(stays)).toBe('set')
    expect(await bento.pull(moves)).toBe('set')
    expect(await store.deleteMany(keys)).toBe(true)
    await store.setMany(keys.map((key) => ({ key, value: 'again' })))
    const found: string[] = []
    for await (const [key] of store.iterator(space)) found.push(String(key))
    expect(new Set(found)).toEqual(new Set(keys))
    expect(found).toHaveLength(keys.length)
    await store.clear()
    expect(await store.getMany(keys)).toEqual(keys.map(() => undefined))
    await finish()
  })

  it('an iterator finds an entry that passes from a node not yet looked at to one that was', async () => {
    const space = fresh()
    const [to, from] = primaries()
    const { stays, migrate, finish } = await halfMove(space, from, to, async (words) => {
      await storeOf(space).setMany(words.map((word) => ({ key: `${space}:${word}`, value: 'v' })))
    })
    let left = false
    const onNode: RedisPort['onNode'] = async (id, command) => {
      if (id === from.id && command[0] === 'SCAN' && !left) {
        left = true
        await migrate(stays)
      }
      return await port.onNode(id, command)
    }
    const through = portWith(port, { onNode })
    const found: unknown[] = []
    for await (const [key] of storeOf(space, {}, through).iterator(space)) found.push(key)
    expect(left).toBe(true)
    expect(found).toContain(`${space}:${stays}`)
    expect(found).toHaveLength(2)
    await finish()
  })

  it('an iterator finds every entry once, clear removes every one, and reads miss none', async () => {
    const space = fresh()
    const store = storeOf(space, { name: fresh() })
    const keys = Array.from({ length: 800 }, (_, i) => `${space}:${i}`)
    await store.setMany(keys.map((key) => ({ key, value: key })))
    const [one, other] = primaries()
    const over = new AbortController()
    const move = async () => {
      for (const to of [one, other]) {
        await moveSlots({ ...cluster.connectOptions, to: `${to.host}:${to.port}`, slots: 30 })
      }
    }
    const moving = move().finally(() => over.abort())
    let rounds = 0
    do {
      const found: string[] = []
      for await (const [key, value] of store.iterator(space)) {
        expect(value).toBe(key)
        found.push(String(key))
      }
      expect(new Set(found)).toEqual(new Set(keys))
      expect(found).toHaveLength(keys.length)
      expect((await store.getMany(keys)).every((value) => value !== undefined)).toBe(true)
      rounds++
    } while (!over.signal.aborted)
    expect(rounds).toBeGreaterThan(1)
    await moving
    const again = moveSlots({ ...cluster.connectOptions, to: `${other.host}:${other.port}`, slots: 30 })
    await store.clear()
    await again
    expect((await store.getMany(keys)).every((value) => value === undefined)).toBe(true)
  })
})
