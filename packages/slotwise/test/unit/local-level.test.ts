import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { settingsOf } from '../../src/cache/cache-options.js'
import { LocalLevel } from '../../src/cache/local/level.js'
import { localSettings } from '../../src/cache/local/options.js'
import { Link } from '../../src/invalidation/tracking/link.js'
import { Watch, type WatchEvents } from '../../src/invalidation/tracking/watch.js'
import { keyOf } from '../../src/keys.js'

const KEY = keyOf({ namespace: 'unit', pattern: 'cache', name: 'test' }, '7')
const TAG = keyOf({ namespace: 'unit', pattern: 'tag', name: 'test' }, ['a'])
const LONG_MS = 60_000

/** A level of whose entries and tags everything is vouched for, unless told otherwise. */
function levelled() {
  const link = new Link('127.0.0.1:7000', Number.NEGATIVE_INFINITY)
  link.provedAt = Number.POSITIVE_INFINITY
  link.provedAtWall = Number.POSITIVE_INFINITY
  let events: WatchEvents | undefined
  const settings = localSettings({ maxEntries: 10, maxStalenessMs: LONG_MS })
  expect.assert(settings !== undefined)
  const { codec } = settingsOf({ name: 'test', ttlMs: LONG_MS })
  const level = new LocalLevel(settings, codec, (heard) => {
    const told = { ...heard, failed: () => {} }
    return new Watch(LONG_MS, told, (wanted) => {
      events = wanted
      return { linkOf: () => link, close: () => {} }
    })
  })
  /** The process counts as one that serves, for so long. */
  const serve = (ms = LONG_MS) => level.serve(performance.now() + ms, Date.now() + ms)
  const begin = () => level.begin(KEY)
  const keep = (reading: ReturnType<typeof begin>, isTagged = true): boolean => {
    const bond = level.end(KEY, reading, link.node)
    if (bond === undefined) return false
    const bytes = codec.wrapped(codec.payload('old'), { freshMs: LONG_MS, keptMs: LONG_MS, loadMs: 0 }, [])
    expect.assert(bytes !== undefined)
    const stamp = { path: 'a', version: '12345678' }
    const tagBond = level.end(TAG, level.begin(TAG), link.node)
    const tags = [level.keepTag(TAG, stamp.version, tagBond)]
    const borne = isTagged ? { stamps: [stamp], tags } : { stamps: [], tags: [] }
    const held = { value: 'old', bytes, ...borne, keptMs: LONG_MS, ageMs: 0 }
    level.keep(KEY, { ...held, freshForMs: LONG_MS, bond })
    return true
  }
  return { level, link, serve, begin, keep, news: (key: string) => events?.changed(key) }
}

describe('a level whose process', () => {
  it('is not counted holds nothing, and what it began to read before neither', () => {
    const { level, serve, begin, keep } = levelled()
    expect(keep(begin())).toBe(false)
    const before = begin()
    serve()
    expect(keep(before)).toBe(false)
    expect(keep(begin())).toBe(true)
    expect(level.find(KEY)?.value).toBe('old')
  })

  it('was not counted for a while has to prove what it held before, tags too', async () => {
    const { level, serve, begin, keep } = levelled()
    serve(20)
    expect(keep(begin(), false)).toBe(true)
    expect(level.tag(TAG)).toBeDefined()
    await sleep(25)
    expect(level.find(KEY)).toBeUndefined()
    serve()
    expect(level.find(KEY)).toBeUndefined()
    expect(level.tag(TAG)).toBeUndefined()
    // It is still there, to be compared.
    expect(level.suspect(KEY)?.value).toBe('old')
  })

  it('goes on being counted goes on serving', () => {
    const { level, serve, begin, keep } = levelled()
    serve()
    expect(keep(begin())).toBe(true)
    serve()
    expect(level.find(KEY)?.value).toBe('old')
    expect(level.tag(TAG)).toBeDefined()
  })
})

describe('a read that is under way', () => {
  it('while this process changes the entry is not held, whether anything is told of that or not', () => {
    const { level, serve, begin, keep } = levelled()
    serve()
    const reading = begin()
    level.forget(KEY)
    expect(keep(reading)).toBe(false)
    expect(keep(begin())).toBe(true)
  })
})

describe('an entry', () => {
  it('is not served once one of its tags has changed, or is not vouched for any more', () => {
    const { level, serve, begin, keep, news } = levelled()
    serve()
    expect(keep(begin())).toBe(true)
    news(TAG)
    expect(level.find(KEY)).toBeUndefined()
    expect(keep(begin())).toBe(true)
    const tag = level.tag(TAG)
    expect.assert(tag !== undefined)
    const long = { at: performance.now() - 2 * LONG_MS, wall: Date.now() - 2 * LONG_MS }
    tag.bond = { link: new Link('127.0.0.1:7001', 0), ...long }
    expect(level.find(KEY)).toBeUndefined()
  })
})
