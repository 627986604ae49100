import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { portWith } from '../../support/port-with.js'
import { refuse } from './caches.js'
import { type Call, nameOf, watched } from './watched-port.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `suspect-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
afterAll(() => Promise.all([port.close(), elsewhere.close()]))

/** So long that a machine which stands still for a while makes nothing suspect. */
const LONG = { maxStalenessMs: 10_000 }
const IDS = Array.from({ length: 12 }, (_, n) => `${n}`)

/** A cache that holds all entries, and what is done to it from outside. */
async function scene({ tags = [] as readonly string[], maxStalenessMs = 300 } = {}) {
  const listeners: Parameters<RedisPort['onTopology']>[0][] = []
  let cut = new AbortController()
  const borrow: RedisPort['borrow'] = (wanted, use) =>
    port.borrow(wanted, (connection) =>
      use({
        node: connection.node,
        call: (...args) => connection.call(...args),
        pipeline: (...args) => connection.pipeline(...args),
        signal: AbortSignal.any([connection.signal, cut.signal]),
      }),
    )
  const between = portWith(port, {
    onTopology: (listener: (typeof listeners)[number]) => {
      listeners.push(listener)
      return port.onTopology(listener)
    },
    borrow,
  })
  const asked: Call[] = []
  const through = watched(between, (call) => {
    if (nameOf(call) !== 'enrol') asked.push(call)
  })
  const name = `c${randomUUID().slice(0, 8)}`
  const options = { name, ttlMs: 60_000, budgetMs: { min: 5000, max: 5000 } }
  const local = { maxEntries: 100, maxStalenessMs }
  const cache = new Cache<string>(through, { ...options, local })
  const other = new Cache<string>(elsewhere, options)
  for (const id of IDS) await other.set(id, 'value', { tags })
  /** Every entry is read, and these are asked for. */
  const read = async (): Promise<readonly string[]> => {
    asked.length = 0
    for (const id of IDS) expect(await cache.getOrLoad(id, refuse)).toBe('value')
    return asked.map((call) => `${nameOf(call)} ${'script' in call ? Object.values(call.keys)[0] : call.key}`)
  }
  await expect.poll(read, { interval: 5, timeout: 5000 }).toEqual([])
  return {
    cache,
    other,
    read,
    keyOf: (id: string) => keyOf({ namespace: port.namespace, pattern: 'cache', name }, id),
    tagKeyOf: (tag: string) => keyOf({ namespace: port.namespace, pattern: 'tag', name }, [tag]),
    moveAway: (slot: number) => {
      const [from, to] = port.topology().nodes.filter(({ role }) => role === 'primary')
      expect.assert(from !== undefined && to !== undefined)
      for (const listener of listeners)
        listener(port.topology(), [{ kind: 'slots-moved', slots: [slot], from, to }])
    },
    /** What tells of changes is lost, and made anew; what it has told counts no more when this resolves. */
    cutOff: async (meanwhile: () => Promise<unknown> = async () => {}) => {
      const was = cut
      cut = new AbortController()
      was.abort()
      await meanwhile()
      await sleep(maxStalenessMs + 5)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([cache.close(), other.close()])
    },
  }
}

describe('when the connections that tell of changes are lost', () => {
  it('nothing is dropped: every entry is compared by its version, and held again', async () => {
    await using scenery = await scene()
    await scenery.cutOff()
    const asked = await scenery.read()
    expect(asked.toSorted()).toEqual(IDS.map((id) => `reprove ${scenery.keyOf(id)}`).toSorted())
    await expect.poll(scenery.read, { interval: 5, timeout: 5000 }).toEqual([])
  })

  it('what has changed meanwhile is not served', async () => {
    await using scenery = await scene()
    await scenery.cutOff(async () => {
      await scenery.other.set('3', 'new')
      await scenery.other.invalidate('4')
    })
    expect(await scenery.cache.get('3')).toBe('new')
    expect(await scenery.cache.get('4')).toBeUndefined()
    expect(await scenery.cache.get('5')).toBe('value')
  })
})

describe('when a slot has another owner', () => {
  it('what is in it is compared at once, and nothing else', async () => {
    await using scenery = await scene(LONG)
    scenery.moveAway(slotOf(scenery.keyOf('3')))
    expect(await scenery.read()).toEqual([`reprove ${scenery.keyOf('3')}`])
    await expect.poll(scenery.read, { interval: 5, timeout: 5000 }).toEqual([])
  })

  it('a tag in it is looked at anew', async () => {
    await using scenery = await scene({ ...LONG, tags: ['a'] })
    scenery.moveAway(slotOf(scenery.tagKeyOf('a')))
    expect(await scenery.read()).toContain(`HGET ${scenery.tagKeyOf('a')}`)
    await expect.poll(scenery.read, { interval: 5, timeout: 5000 }).toEqual([])
  })
})
