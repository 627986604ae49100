import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { RedisUnavailableError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { heldLoad } from './gate.js'
import { watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `cache-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const cacheOf = <T>(options: Partial<CacheOptions<T>> = {}, through = port) =>
  new Cache<T>(through, { name: 'test', ttlMs: 60_000, budgetMs: 5000, ...options })
const keyFor = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name: 'test' }, id)
const refuse = (): never => {
  throw new Error('must not be loaded')
}

describe('cost', () => {
  it('is one round trip for a hit, two for a miss before its caller has the value and one after', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const sentBeforeTheLoad: string[] = []
    await cache.getOrLoad(id, () => {
      sentBeforeTheLoad.push(...watching.sent)
      return 'value'
    })
    expect(sentBeforeTheLoad).toEqual(['HGET', 'acquire'])
    await watching.idle()
    expect(watching.sent.splice(0)).toEqual(['HGET', 'acquire', 'fill'])
    expect(await cache.getOrLoad(id, refuse)).toBe('value')
    expect(watching.sent.splice(0)).toEqual(['HGET'])
    await cache.invalidate(id)
    expect(watching.sent.splice(0)).toEqual(['DEL'])
    await cache.writeThrough(id, () => 'written')
    expect(watching.sent).toEqual(['intend', 'settle'])
  })

  it('is published to whoever listens', async () => {
    const id = randomUUID()
    const heard: unknown[] = []
    const listen = (event: unknown): void => {
      if ((event as { key: Key }).key === keyFor(id)) heard.push(event)
    }
    subscribe('slotwise:cache', listen)
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    await cache.getOrLoad(id, () => 'value')
    await watching.idle()
    await cache.getOrLoad(id, refuse)
    await cache.invalidate(id)
    await cache.writeThrough(id, () => 'value')
    unsubscribe('slotwise:cache', listen)
    expect(heard).toMatchObject(
      ['load', 'hit', 'invalidate', 'write'].map((kind) => ({ name: 'test', kind })),
    )
  })

  it('is published for what goes otherwise as well, and counted', async () => {
    const name = `events-${randomUUID().slice(0, 8)}`
    const heard: string[] = []
    const listen = (event: unknown): void => {
      const { name: whose, kind } = event as { name: string; kind: string }
      if (whose === name) heard.push(kind)
    }
    let isAway = false
    const through = watched(port, () => {
      if (isAway) throw new RedisUnavailableError('away')
    })
    const cache = cacheOf<string>({ name, staleMs: 60_000 }, through)
    const key = (id: string): Key => keyOf({ namespace: port.namespace, pattern: 'cache', name }, id)
    const told = (): string[] => heard.splice(0)
    const [waited, stale, refused, away] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
    subscribe('slotwise:cache', listen)
    try {
      const slow = heldLoad<string>()
      const both = [cache.getOrLoad(waited, slow.load), cache.getOrLoad(waited, refuse)]
      await slow.called
      await through.idle()
      slow.finish('value')
      await Promise.all(both)
      expect(told()).toEqual(['load', 'wait'])

      await cache.set(stale, 'old')
      await port.call({ key: key(stale), command: ['PEXPIRE', key(stale), 30_000] })
      await cache.getOrLoad(stale, () => 'new')
      await expect.poll(() => cache.get(stale)).toBe('new')
      expect(told()).toEqual(['write', 'stale'])

      const overtaken = heldLoad<string>()
      const loading = cache.getOrLoad(refused, overtaken.load)
      await overtaken.called
      await cache.invalidate(refused)
      overtaken.finish('old')
      await loading
      await through.idle()
      expect(told().toSorted()).toEqual(['invalidate', 'load', 'refused-fill'])

      isAway = true
      await cache.getOrLoad(away, () => 'value')
      expect(told().toSorted()).toEqual(['bypass', 'degraded', 'error'])
      const counted = {
        loads: 4,
        waits: 1,
        staleHits: 1,
        refreshes: 1,
        refusedFills: 1,
        bypasses: 1,
        errors: 1,
      }
      expect(cache.stats()).toMatchObject({ ...counted, degraded: true, pending: 0 })
    } finally {
      unsubscribe('slotwise:cache', listen)
    }
  })

  it('of a Redis that does not answer is told once, and once more when it answers again', async () => {
    const id = randomUUID()
    const name = `silent-${id.slice(0, 8)}`
    const heard: unknown[] = []
    const listen = (event: unknown): void => {
      const { name: whose, kind } = event as { name: string; kind: string }
      if (whose === name && (kind === 'degraded' || kind === 'recovered')) heard.push(kind)
    }
    let isAway = true
    const flaky = watched(port, () => {
      if (isAway) throw new RedisUnavailableError('away')
    })
    const cache = cacheOf<string>({ name }, flaky)
    subscribe('slotwise:cache', listen)
    try {
      for (let i = 0; i < 3; i++)
        expect(await cache.fetch(id, () => 'value')).toMatchObject({ how: 'bypass' })
      expect([cache.stats().degraded, heard]).toEqual([true, ['degraded']])
      isAway = false
      expect(await cache.fetch(id, () => 'value')).toMatchObject({ how: 'load' })
      expect([cache.stats().degraded, heard]).toEqual([false, ['degraded', 'recovered']])
    } finally {
      unsubscribe('slotwise:cache', listen)
    }
  })

  it('is told apart: from Redis, loaded, or waited for', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const slow = heldLoad<string>()
    const loading = cache.fetch(id, slow.load)
    await slow.called
    const waiting = cache.fetch(id, refuse)
    await watching.idle()
    slow.finish('value')
    expect(await loading).toMatchObject({ value: 'value', source: 'loader', how: 'load' })
    expect(await waiting).toMatchObject({ value: 'value', how: 'wait' })
    expect(watching.sent).toEqual(['HGET', 'acquire', 'HGET', 'fill'])
    const hit = await cache.fetch(id, refuse)
    expect(hit).toMatchObject({ value: 'value', source: 'redis', how: 'hit' })
    expect(hit.durationMs).toBeGreaterThan(0)
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 2, loads: 1, waits: 1, bypasses: 0, errors: 0 })
  })
})
