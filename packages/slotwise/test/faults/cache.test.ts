import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../src/cache/index.js'
import { InvalidationPendingError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import type { LocalCluster } from '../../src/local/index.js'
import { keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { watched } from '../cluster/cache/watched-port.js'
import { steadyCluster } from '../support/steady-cluster.js'

const NAME = 'test'
let cluster: LocalCluster
let port: RedisPort

beforeAll(async () => {
  cluster = await steadyCluster()
  port = await connect({ ...cluster.connectOptions, namespace: 'faults' })
}, 60_000)
afterAll(async () => {
  await port.close()
  await cluster.stop()
})

const cacheOf = (options: Partial<CacheOptions<string>> = {}): Cache<string> =>
  new Cache<string>(port, { name: NAME, ttlMs: 60_000, budgetMs: 5000, ...options })
const keyFor = (id: string) => keyOf({ namespace: port.namespace, pattern: 'cache', name: NAME }, id)

/** Ids whose entries a node holds. */
function idsAt(index: number, count: number): string[] {
  const ids: string[] = []
  while (ids.length < count) {
    const id = randomUUID()
    if (port.topology().ownerOf(slotOf(keyFor(id)))?.port === cluster.nodes[index]?.port) ids.push(id)
  }
  return ids
}

/** Ids whose entries lie in a slot. */
function idsIn(slot: number, count: number): string[] {
  const ids: string[] = []
  while (ids.length < count) {
    const id = randomUUID()
    if (slotOf(keyFor(id)) === slot) ids.push(id)
  }
  return ids
}

describe('while a primary hangs', () => {
  it('a read costs its budget and the loader, fails never, and other primaries are not affected', async () => {
    const budgetMs = 50
    const cache = cacheOf({ budgetMs })
    const [hung, fine] = [idsAt(0, 100), idsAt(1, 100)]
    for (const id of [...hung, ...fine]) await cache.writeThrough(id, () => 'stored')
    const cold = idsAt(0, 100)
    const load = async (): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return 'loaded'
    }
    await cluster.pause(0)
    try {
      const answers = await Promise.all([...hung, ...cold].map((id) => cache.fetch(id, load)))
      expect(new Set(answers.map(({ how }) => how))).toEqual(new Set(['bypass']))
      const durations = answers.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b)
      const [p50, p99] = [durations[100] ?? 0, durations[198] ?? 0]
      console.log(`hung primary: read-through p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`)
      expect(p99).toBeLessThan(budgetMs + 5 + 300)
      const unaffected = await Promise.all(fine.map((id) => cache.fetch(id, load)))
      expect(unaffected.every(({ how }) => how === 'hit')).toBe(true)
      expect(await cache.read(hung[0] ?? '')).toMatchObject({ found: false })
    } finally {
      await cluster.resume(0)
    }
    // Leases that the primary grants when it wakes up, to nobody, hold up nobody for long.
    const from = performance.now()
    await Promise.all(cold.map((id) => cacheOf({ budgetMs: 3000 }).getOrLoad(id, load)))
    expect(performance.now() - from).toBeLessThan(5000)
  })

  it('a read waits no longer than answers took lately, those after it not at all, until it answers again', async () => {
    // What nobody would wait for who did not know that this cluster answers in a few milliseconds.
    const watching = watched(port)
    const cache = new Cache<string>(watching, {
      name: NAME,
      ttlMs: 60_000,
      budgetMs: { min: 500, max: 20_000 },
    })
    const [hung, fine] = [idsAt(0, 50), idsAt(1, 50)]
    for (const id of [...hung, ...fine]) await cache.set(id, 'stored')
    for (const id of [...hung, ...fine]) expect(await cache.get(id)).toBe('stored')
    const [first = '', ...others] = hung
    await cluster.pause(0)
    try {
      const waited = await cache.fetch(first, () => 'loaded')
      expect(waited).toMatchObject({ value: 'loaded', how: 'bypass' })
      expect(waited.durationMs).toBeLessThan(5000)
      expect(cache.stats().degraded).toBe(true)
      watching.sent.length = 0
      for (const id of others) expect(await cache.fetch(id, () => 'loaded')).toMatchObject({ how: 'bypass' })
      expect(await cache.getMany(others)).toEqual(Array(49).fill(undefined))
      expect(watching.sent).toEqual([])
      for (const id of fine) expect(await cache.fetch(id, () => 'loaded')).toMatchObject({ how: 'hit' })
    } finally {
      await cluster.resume(0)
    }
    await expect.poll(async () => (await cache.fetch(first, () => 'loaded')).how).toBe('hit')
    expect(cache.stats().degraded).toBe(false)
  })

  it('an invalidation is pending, and nothing older is read once it has settled', async () => {
    const [id = ''] = idsAt(0, 1)
    const cache = cacheOf()
    const elsewhere = cacheOf()
    await cache.writeThrough(id, () => 'old')
    await cluster.pause(0)
    let error: unknown
    try {
      error = await cache.invalidate(id, { deadlineMs: 100 }).catch((thrown: unknown) => thrown)
      expect(await cache.getOrLoad(id, () => 'new')).toBe('new')
    } finally {
      await cluster.resume(0)
    }
    expect.assert(error instanceof InvalidationPendingError)
    expect(await error.settled).toBe(true)
    expect(await elsewhere.getOrLoad(id, () => 'new')).toBe('new')
    await cache.close()
  })

  it('a write goes on, and its invalidation is pending', async () => {
    const [id = ''] = idsAt(0, 1)
    const cache = cacheOf({ budgetMs: 100 })
    await cache.writeThrough(id, () => 'old')
    let database = 'old'
    await cluster.pause(0)
    let error: unknown
    try {
      const write = (): string => {
        database = 'new'
        return database
      }
      error = await cache.writeThrough(id, { deadlineMs: 200 }, write).catch((thrown: unknown) => thrown)
    } finally {
      await cluster.resume(0)
    }
    expect.assert(error instanceof InvalidationPendingError)
    expect(error.written).toBe('new')
    expect(await error.settled).toBe(true)
    expect(await cacheOf().getOrLoad(id, () => database)).toBe('new')
    await cache.close()
  })
})

it('a server out of memory serves what it has, stores nothing, and forgets what it is told to', async () => {
  const [kept = '', changed = '', written = '', cold = ''] = idsAt(1, 4)
  const heard: string[] = []
  const cache = cacheOf({ onError: (_, { operation }) => heard.push(operation) })
  for (const id of [kept, changed, written]) await cache.writeThrough(id, () => 'old')
  const node = cluster.nodes[1]?.id ?? ''
  await port.onNode(node, ['CONFIG', 'SET', 'maxmemory', 1])
  try {
    expect(await cache.fetch(kept, () => 'loaded')).toMatchObject({ value: 'old', how: 'hit' })
    expect(await cache.fetch(cold, () => 'loaded')).toMatchObject({ value: 'loaded', how: 'bypass' })
    await cache.invalidate(changed)
    expect(await cache.writeThrough(written, () => 'new')).toBe('new')
    for (const id of [changed, written]) expect(await cache.read(id)).toMatchObject({ found: false })
    expect(heard).toEqual(['load', 'write'])
  } finally {
    await port.onNode(node, ['CONFIG', 'SET', 'maxmemory', 0])
  }
  expect(await cache.fetch(cold, () => 'loaded')).toMatchObject({ how: 'load' })
})

/** While the slot goes from one node to another, which has these keys of it already. */
async function whileHalfMoved(
  slot: number,
  moved: readonly string[],
  act: () => Promise<void>,
): Promise<void> {
  const [source, target] = [cluster.nodes[1], cluster.nodes[2]]
  expect.assert(source !== undefined && target !== undefined)
  await port.onNode(target.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id])
  await port.onNode(source.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id])
  for (const key of moved) await port.onNode(source.id, ['MIGRATE', target.host, target.port, key, 0, 1000])
  await act()
  const left = (await port.onNode(source.id, ['CLUSTER', 'GETKEYSINSLOT', slot, 100])) as string[]
  for (const key of left) await port.onNode(source.id, ['MIGRATE', target.host, target.port, key, 0, 1000])
  for (const { id } of [target, source, ...cluster.nodes.slice(0, 1)])
    await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', target.id])
  // Whoever looks for a slot of the source is not to find this one.
  await expect.poll(() => port.topology().ownerOf(slot)?.id, { timeout: 10_000 }).toBe(target.id)
}

describe('in a slot that is half moved', () => {
  it('every entry is read, loaded, written and invalidated as ever', async () => {
    const [first = ''] = idsAt(1, 1)
    const slot = slotOf(keyFor(first))
    const [stays, moves, absent, written] = [first, ...idsIn(slot, 3)] as [string, string, string, string]
    const cache = cacheOf()
    for (const id of [stays, moves, written]) await cache.set(id, 'stored')
    await whileHalfMoved(slot, [keyFor(moves)], async () => {
      // Over what has not passed to the new node yet.
      expect(await cache.writeThrough(written, () => 'written')).toBe('written')
      for (const id of [stays, moves])
        expect(await cache.fetch(id, () => 'loaded')).toMatchObject({ value: 'stored', how: 'hit' })
      expect(await cache.fetch(absent, () => 'loaded')).toMatchObject({ value: 'loaded', how: 'load' })
      expect(await cache.read(written)).toMatchObject({ found: true, value: 'written' })
      for (const id of [stays, moves, absent, written]) {
        await cache.invalidate(id)
        expect(await cache.fetch(id, () => 'anew')).toMatchObject({ value: 'anew', how: 'load' })
        expect(await cache.writeThrough(id, () => 'written')).toBe('written')
        expect(await cache.read(id)).toMatchObject({ found: true, value: 'written' })
      }
    })
    expect(cache.stats()).toMatchObject({ errors: 0, bypasses: 0, pending: 0 })
    expect(await cache.fetch(stays, () => 'loaded')).toMatchObject({ value: 'written', how: 'hit' })
  })

  it('so is what is done to many at once, by a token, or under an intent', async () => {
    const [first = ''] = idsAt(1, 1)
    const slot = slotOf(keyFor(first))
    const all = [first, ...idsIn(slot, 5)]
    const cache = cacheOf()
    await cache.setMany(all.slice(0, 4).map((id) => ({ id, value: 'stored' })))
    await whileHalfMoved(slot, all.slice(2, 4).map(keyFor), async () => {
      const shown = ['stored', 'stored', 'stored', 'stored', undefined, undefined]
      expect(await cache.getMany(all)).toEqual(shown)
      const loaded = await cache.getOrLoadMany(all, (missing) => missing.map(() => 'loaded'))
      expect(loaded).toEqual(shown.map((value = 'loaded') => ({ status: 'fulfilled', value })))
      await expect.poll(() => cache.getMany(all)).not.toContain(undefined)
      for (const id of all) {
        const { token } = await cache.read(id)
        expect(await cache.set(id, 'by token', { token })).toBe(true)
      }
      const write = async (): Promise<void> => {
        for (const id of all) expect(await cacheOf().getOrLoad(id, () => 'old')).toBe('old')
      }
      await cache.mutate({ ids: all }, write)
      expect(await cache.getMany(all)).toEqual(all.map(() => undefined))
    })
    expect(cache.stats()).toMatchObject({ errors: 0, bypasses: 0, pending: 0 })
  })

  it('so is a value that is kept after its invalidation', async () => {
    const [first = ''] = idsAt(1, 1)
    const slot = slotOf(keyFor(first))
    const [stays, moves] = [first, ...idsIn(slot, 1)] as [string, string]
    const cache = cacheOf({ keepInvalidatedMs: 60_000 })
    for (const id of [stays, moves]) await cache.set(id, 'kept')
    await whileHalfMoved(slot, [keyFor(moves)], async () => {
      for (const id of [stays, moves]) {
        await cache.invalidate(id)
        expect(await cache.get(id)).toBeUndefined()
        expect(await cache.getOrLoad(id, { allowStale: true }, () => 'new')).toBe('kept')
        await expect.poll(() => cache.get(id)).toBe('new')
      }
    })
    expect(cache.stats()).toMatchObject({ errors: 0, bypasses: 0, pending: 0 })
  })

  it('so is a tag, and what bears it', async () => {
    const cache = cacheOf()
    const keyOfTag = (tag: string) => keyOf({ namespace: port.namespace, pattern: 'tag', name: NAME }, [tag])
    const isAtSource = (tag: string) =>
      port.topology().ownerOf(slotOf(keyOfTag(tag)))?.port === cluster.nodes[1]?.port
    let tag = randomUUID()
    while (!isAtSource(tag)) tag = randomUUID()
    const id = randomUUID()
    await cache.set(id, 'old', { tags: [tag] })
    expect(await port.call({ key: keyOfTag(tag), command: ['EXISTS', keyOfTag(tag)] })).toBe(1)
    await whileHalfMoved(slotOf(keyOfTag(tag)), [], async () => {
      // Nothing is stored under it while it changes.
      const late = async (): Promise<string> => await cacheOf().getOrLoad(id, { tags: [tag] }, () => 'old')
      expect(await cache.mutate({ tags: [tag] }, late)).toBe('old')
      expect(await cache.get(id)).toBeUndefined()
      expect(await cache.getOrLoad(id, { tags: [tag] }, () => 'new')).toBe('new')
      await expect.poll(() => cache.get(id)).toBe('new')
      await cache.invalidateTags([tag])
      expect(await cache.get(id)).toBeUndefined()
    })
    expect(cache.stats()).toMatchObject({ errors: 0, bypasses: 0, pending: 0 })
  })
})
