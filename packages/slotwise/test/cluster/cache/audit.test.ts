import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type AuditOptions, Cache, type CacheAudit, type CacheOptions } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort, Reply } from '../../../src/redis/index.js'
import { heardOn } from '../../support/events.js'
import { portWith } from '../../support/port-with.js'
import { type Call, nameOf } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `audit-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
afterAll(() => Promise.all([port.close(), elsewhere.close()]))

const WINDOWS = [30, 80, 200]
const POLL = { interval: 5, timeout: 10_000 }

function open<T = string>(options: Partial<CacheOptions<T>> = {}, through = port) {
  const name = `c${randomUUID().slice(0, 8)}`
  const budgetMs = { min: 5000, max: 5000 }
  return new Cache<T>(through, { name, ttlMs: 60_000, jitter: 0, budgetMs, ...options })
}

/** Where the values truly are. */
class Database {
  readonly rows = new Map<string, string>()
  asked = 0

  audit(cache: Cache<string>, options: Partial<AuditOptions<string>> = {}): CacheAudit {
    return cache.audit({
      ppm: 1_000_000,
      windowsMs: WINDOWS,
      confirmAfterMs: 30,
      load: ({ id }) => {
        this.asked++
        return this.rows.get(id.join('/')) ?? ''
      },
      ...options,
    })
  }

  read(cache: Cache<string>, id: string, tags: readonly string[] = []): Promise<string> {
    return cache.getOrLoad(id, { tags }, () => this.rows.get(id) ?? '')
  }
}

/** A port that answers these commands as if they were done, and does not send them. */
function dropping(to: RedisPort, name: string): RedisPort {
  const isDropped = (call: Call) => nameOf(call) === name
  const call: RedisPort['call'] = async (one, options) => (isDropped(one) ? 1 : await to.call(one, options))
  const pipeline: RedisPort['pipeline'] = async (calls, options) => {
    const sent = await to.pipeline(
      calls.filter((one) => !isDropped(one)),
      options,
    )
    const rest = sent.values()
    const done: PromiseFulfilledResult<Reply> = { status: 'fulfilled', value: 1 }
    return calls.map((one) => (isDropped(one) ? done : (rest.next().value ?? done)))
  }
  return portWith(to, { call, pipeline })
}

/** A port whose connections prove themselves and never tell of a change. */
function withoutNews(to: RedisPort): RedisPort {
  const borrow: RedisPort['borrow'] = (options, use) =>
    to.borrow('onPush' in options ? { ...options, onPush: () => {} } : options, use)
  return portWith(to, { borrow })
}

const of = (audit: CacheAudit, what: 'consistent' | 'inconsistent' | 'absent' | 'moving' | 'failed') =>
  audit.stats().windows.map((window) => window[what])

describe('an audit finds', () => {
  it('invalidations that do not happen, after each window, and says so', async () => {
    const events = heardOn('slotwise:cache:audit')
    const database = new Database()
    await using cache = open({}, dropping(port, 'DEL'))
    const audit = database.audit(cache)
    database.rows.set('7', 'old')
    await database.read(cache, '7')
    await expect.poll(() => audit.explain('7')?.events.some(({ kind }) => kind === 'fill')).toBe(true)
    await sleep(5)
    database.rows.set('7', 'new')
    await cache.invalidate('7')
    expect(await database.read(cache, '7')).toBe('old')
    await expect.poll(() => of(audit, 'inconsistent').every((times) => times > 0), POLL).toBe(true)
    const { events: known = [], look } = audit.explain('7') ?? {}
    expect(look).toMatchObject({ outcome: 'inconsistent', where: 'redis', because: 'invalidation-lost' })
    const kinds = known.map(({ kind }) => kind)
    expect(kinds.indexOf('fill')).toBeLessThan(kinds.indexOf('invalidate'))
    expect(kinds.at(-1)).toBe('hit')
    expect(audit.findings()[0]).toMatchObject({ id: ['7'], tenant: undefined, events: expect.any(Array) })
    expect(audit.stats().windows.map(({ inconsistentRatio }) => inconsistentRatio)).not.toContain(0)
    const told = events.filter(({ outcome }) => outcome === 'inconsistent')
    expect(new Set(told.map(({ windowMs }) => windowMs))).toEqual(new Set(WINDOWS))
    expect(told[0]).toMatchObject({ where: 'redis', because: 'invalidation-lost' })
  })

  it('changes of tags that do not happen', async () => {
    const database = new Database()
    await using cache = open({}, dropping(port, 'HDEL'))
    const audit = database.audit(cache)
    database.rows.set('7', 'old')
    await database.read(cache, '7', ['a'])
    await database.read(cache, '7', ['a'])
    await expect.poll(() => of(audit, 'consistent').every((times) => times > 0), POLL).toBe(true)
    database.rows.set('7', 'new')
    await cache.invalidateTags(['a'])
    await expect.poll(() => of(audit, 'inconsistent').every((times) => times > 0), POLL).toBe(true)
    expect(audit.explain('7')?.look).toMatchObject({ because: 'invalidation-lost' })
    expect(audit.explain('7')?.events.map(({ kind }) => kind)).toContain('tag')
  })

  it('changes of which nobody has told the cache', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache)
    const acme = cache.forTenant('acme')
    await acme.getOrLoad(['a', 7], () => 'old')
    database.rows.set('a/7', 'new')
    await acme.get(['a', 7])
    await expect.poll(() => of(audit, 'inconsistent').every((times) => times > 0), POLL).toBe(true)
    expect(audit.explain(['a', 7], { tenant: 'acme' })?.look?.because).toBe('never-invalidated')
    expect(audit.explain(['a', 7])).toBeUndefined()
    expect(audit.findings()[0]).toMatchObject({ tenant: 'acme', id: ['a', '7'] })
  })

  it('loaders that bring what is old after an invalidation', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache)
    database.rows.set('7', 'new')
    await cache.invalidate('7')
    await sleep(5)
    await cache.getOrLoad('7', () => 'from a replica that is behind')
    await expect.poll(() => of(audit, 'inconsistent').every((times) => times > 0), POLL).toBe(true)
    expect(audit.explain('7')?.look?.because).toBe('filled-with-old')
  })

  it('what a process goes on serving, and Redis does not', async () => {
    const database = new Database()
    const local = { maxEntries: 10, maxStalenessMs: 400 }
    const name = `c${randomUUID().slice(0, 8)}`
    await using cache = open({ name, local }, withoutNews(port))
    database.rows.set('7', 'old')
    await database.read(cache, '7')
    const isHeld = async () => {
      const before = cache.stats().localHits
      await cache.get('7')
      return cache.stats().localHits > before
    }
    await expect.poll(isHeld, POLL).toBe(true)
    const audit = database.audit(cache)
    await using other = open({ name }, elsewhere)
    database.rows.set('7', 'new')
    await other.invalidate('7')
    // The proofs go on while there are hits.
    const isFound = async () => (await isHeld()) && of(audit, 'inconsistent').every((times) => times > 0)
    await expect.poll(isFound, POLL).toBe(true)
    expect(audit.explain('7')?.look).toMatchObject({ where: 'local', because: 'held-too-long' })
  })
})

describe('an audit finds nothing', () => {
  it('where every change is followed by its invalidation, under load', async () => {
    const database = new Database()
    const local = { maxEntries: 100, maxStalenessMs: 100 }
    const name = `c${randomUUID().slice(0, 8)}`
    await using cache = open({ name, local })
    await using other = open({ name }, elsewhere)
    const audit = database.audit(cache, { confirmAfterMs: 200, maxConcurrent: 4 })
    const until = performance.now() + 1500
    const worker = async (nth: number) => {
      while (performance.now() < until) {
        const id = String(Math.floor(Math.random() * 20))
        if (Math.random() < 0.1) {
          database.rows.set(id, randomUUID())
          await sleep(3 * Math.random())
          await (nth % 2 === 0 ? cache : other).invalidate(id)
        } else await database.read(cache, id, ['t'])
        await sleep(1)
      }
    }
    await Promise.all([0, 1, 2, 3].map(worker))
    await expect.poll(() => of(audit, 'consistent').every((times) => times > 10), POLL).toBe(true)
    expect(of(audit, 'inconsistent')).toEqual([0, 0, 0])
    expect(audit.stats().windows.map(({ inconsistentRatio }) => inconsistentRatio)).toEqual([0, 0, 0])
    expect(audit.findings()).toEqual([])
    expect(audit.stats().watched).toBeGreaterThan(10)
    expect(audit.stats().watched).toBeLessThanOrEqual(20)
  })

  it('where the origin is another at each look, or the entry is', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache, { load: () => randomUUID() })
    await cache.getOrLoad('7', () => 'value')
    await expect.poll(() => of(audit, 'moving').every((times) => times > 0), POLL).toBe(true)
    expect(of(audit, 'inconsistent')).toEqual([0, 0, 0])
    audit.close()
    const again = database.audit(cache, { confirmAfterMs: 100 })
    database.rows.set('8', 'new')
    const replaced = setInterval(() => void cache.set('8', 'old'), 20)
    await expect.poll(() => of(again, 'moving').every((times) => times > 0), POLL).toBe(true)
    clearInterval(replaced)
    expect(of(again, 'inconsistent')).toEqual([0, 0, 0])
  })

  it('where an invalidation takes a while, and ends before the second look', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache, { windowsMs: [30], confirmAfterMs: 300 })
    database.rows.set('7', 'old')
    await database.read(cache, '7')
    database.rows.set('7', 'new')
    // The first look has found a difference.
    await expect.poll(() => database.asked, POLL).toBeGreaterThan(0)
    await cache.invalidate('7')
    await expect.poll(() => of(audit, 'absent')[0], POLL).toBeGreaterThan(0)
    expect(of(audit, 'inconsistent')).toEqual([0])
  })

  it('in properties in another order, nor in what does not belong to the version', async () => {
    const value = (order: boolean, at: number) => (order ? { a: 1, at, b: [1] } : { b: [1], at, a: 1 })
    await using cache = open<ReturnType<typeof value>>()
    const settings = { ppm: 1_000_000, windowsMs: WINDOWS, confirmAfterMs: 10 }
    const audit = cache.audit({ ...settings, load: () => value(false, 1) })
    await cache.getOrLoad('7', () => value(true, 1))
    await expect.poll(() => of(audit, 'consistent').every((times) => times > 0), POLL).toBe(true)
    audit.close()
    const ofVersion = cache.audit({ ...settings, load: () => value(false, 2), versionOf: ({ a }) => a })
    await cache.get('7')
    await expect.poll(() => of(ofVersion, 'consistent').every((times) => times > 0), POLL).toBe(true)
  })

  it('where nothing is cached, and does not ask the origin then', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache)
    await cache.invalidate('7')
    await expect.poll(() => of(audit, 'absent'), POLL).toEqual([1, 1, 1])
    expect(database.asked).toBe(0)
    expect(audit.stats().windows[0]?.inconsistentRatio).toBeUndefined()
  })
})

describe('an audit costs', () => {
  it('the origin so many calls at a time, also when they hang, and waits for none longer than its deadline', async () => {
    const errors: string[] = []
    await using cache = open({ onError: ({ name }, { operation }) => errors.push(`${operation} ${name}`) })
    const [running, most, signals] = [{ now: 0 }, { value: 0 }, [] as AbortSignal[]]
    const audit = cache.audit({
      ppm: 1_000_000,
      windowsMs: WINDOWS,
      maxConcurrent: 2,
      deadlineMs: 50,
      load: async (_, { signal }) => {
        signals.push(signal)
        most.value = Math.max(most.value, ++running.now)
        await sleep(100)
        running.now--
        return 'value'
      },
    })
    for (let i = 0; i < 10; i++) await cache.getOrLoad(String(i), () => 'value')
    await expect.poll(() => of(audit, 'failed').every((times) => times > 3), POLL).toBe(true)
    expect(most.value).toBe(2)
    await expect.poll(() => signals.slice(0, 2).every(({ aborted }) => aborted), POLL).toBe(true)
    expect(errors.every((error) => error.startsWith('audit '))).toBe(true)
    expect(of(audit, 'inconsistent')).toEqual([0, 0, 0])
  })

  it('memory for so many keys, and keeps those that are to be looked at', async () => {
    const database = new Database()
    await using cache = open()
    const ids = Array.from({ length: 20 }, (_, i) => String(i))
    await cache.setMany(ids.map((id) => ({ id, value: 'value' })))
    const audit = database.audit(cache, { maxKeys: 5, load: () => 'value' })
    await cache.getMany(ids)
    expect(audit.stats()).toMatchObject({ watched: 5, passedOver: 15 })
    await expect.poll(() => of(audit, 'consistent').every((times) => times >= 5), POLL).toBe(true)
    for (let i = 0; i < 200; i++) await cache.get('0')
    expect(audit.explain('0')?.events.length).toBeLessThanOrEqual(32)
    // Those that were looked at make room.
    const isAdmitted = async () => {
      await cache.getOrLoad('20', () => 'value')
      return audit.explain('20') !== undefined
    }
    await expect.poll(isAdmitted, POLL).toBe(true)
    expect(audit.stats().watched).toBe(5)
    await cache.getOrLoad('x'.repeat(200), () => 'value')
    expect(audit.stats().watched).toBe(5)
  })

  it('nothing after it is closed, or the cache is; and there is one at a time', async () => {
    const database = new Database()
    const cache = open()
    const audit = database.audit(cache)
    expect(() => database.audit(cache)).toThrow('already')
    await cache.getOrLoad('7', () => 'value')
    audit.close()
    const again = database.audit(cache)
    await cache.get('7')
    expect(again.explain('8')).toBeUndefined()
    await cache.close()
    await sleep(250)
    expect([database.asked, ...of(audit, 'consistent'), ...of(again, 'consistent')]).toEqual(Array(7).fill(0))
    expect(() => database.audit(cache)).toThrow('closed')
  })

  it('a share of the keys, as told', async () => {
    const database = new Database()
    await using cache = open()
    const audit = database.audit(cache, { ppm: 200_000 })
    await cache.invalidateMany(Array.from({ length: 1000 }, (_, i) => String(i)))
    expect(audit.stats().watched).toBeGreaterThan(120)
    expect(audit.stats().watched).toBeLessThan(280)
  })
})
