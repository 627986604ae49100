import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Cache } from '../../src/cache/index.js'
import { trackChanges } from '../../src/invalidation/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { Staller, type StallReport } from '../support/stalling.js'

const STALL_MS = 5000
const NEAR = { name: 'near', maxStalenessMs: 300 }
/** So far that what it holds counts all the time that the process stands still. */
const FAR = { name: 'far', maxStalenessMs: 60_000 }
const IDS = ['a', 'b', 'c', 'd', 'e']
const NAMESPACE = 'stalled'

let cluster: LocalCluster
let port: RedisPort
let staller: Staller
const caches: Record<'near' | 'far', Cache<string>> = {} as never

beforeAll(async () => {
  cluster = await startLocalCluster()
  port = await connect({ ...cluster.connectOptions, namespace: NAMESPACE })
  for (const name of ['near', 'far'] as const) caches[name] = new Cache(port, { name, ttlMs: 120_000 })
  const { nodes } = cluster.connectOptions
  staller = new Staller({ nodes, namespace: NAMESPACE, levels: [NEAR, FAR], ids: IDS })
}, 60_000)
afterAll(async () => {
  await staller[Symbol.asyncDispose]()
  await port.close()
  await cluster.stop()
})
beforeEach(async () => {
  for (const cache of Object.values(caches)) for (const id of IDS) await cache.set(id, 'old')
})

const readsOf = ({ reads }: StallReport, level: 'near' | 'far') =>
  reads.filter((one) => one.level === level).map(({ isLocal, value }) => `${value}${isLocal ? ', held' : ''}`)

const all = (value: string) => IDS.map(() => value)

describe('a process that stands still for five seconds, while another one invalidates', () => {
  it('serves nothing from before when it goes on, and nobody waits for it longer than was said', {
    timeout: 30_000,
  }, async () => {
    const { woken } = await staller.stall(STALL_MS)
    await caches.far.invalidateMany(IDS)
    const from = performance.now()
    await caches.near.invalidateMany(IDS, { everywhere: true })
    const waitedMs = performance.now() - from
    // Who stands still does not answer, so that the time has to pass, and that is all.
    expect(waitedMs).toBeGreaterThan(NEAR.maxStalenessMs)
    expect(waitedMs).toBeLessThan(NEAR.maxStalenessMs + 1500)
    const report = await woken
    expect(report.stoodStillMs).toBeGreaterThanOrEqual(STALL_MS)
    expect(readsOf(report, 'near')).toEqual(all('new'))
    // It could have: this is what it held, and what had arrived meanwhile was not read yet.
    expect(readsOf(report, 'far')).toEqual(all('old, held'))
    await staller.hold()
  })
})

describe('a connection that tells of changes and is cut by the server for what waits to be read', () => {
  const entry = keyOf({ namespace: NAMESPACE, pattern: 'cache', name: NEAR.name }, 'a')
  const owner = () => port.topology().ownerOf(slotOf(entry))?.id ?? ''
  const set = (name: string, value: string) => port.onNode(owner(), ['CONFIG', 'SET', name, value])

  /** Who is told by the primary that owns the entry, and how many bytes wait for them there. */
  async function listeners(): Promise<ReadonlyMap<string, number>> {
    const list = String(await port.onNode(owner(), ['CLIENT', 'LIST']))
    // B is for broadcasting.
    const lines = list.split('\n').filter((line) => /\bflags=\S*B/.test(line))
    const read = (line: string, what: string) => new RegExp(`\\b${what}=(\\d+)`).exec(line)?.[1] ?? ''
    return new Map(lines.map((line) => [read(line, 'id'), Number(read(line, 'omem'))]))
  }

  /** Of names so long that buffers of the system are full after some hundreds of changes. */
  const long = [1, 2].map((n) => `${entry}${n}${'x'.repeat(100_000)}` as Key)
  const flood = () => port.pipeline(long.map((key) => ({ key, command: ['SET', key, ''], repeat: 'safe' })))

  it.each([
    // Pushes count among the answers to an ordinary client, not as those of a channel.
    { limit: 'client-output-buffer-limit', value: 'normal 1mb 0 0', before: 'normal 0 0 0', mb: 1 },
    { limit: 'maxmemory-clients', value: '16mb', before: '0', mb: 16 },
  ])(
    'holds nothing up, lets nothing be served from before, and is there again: $limit',
    {
      timeout: 30_000,
    },
    async ({ limit, value, before, mb }) => {
      await staller.hold()
      await expect.poll(async () => (await listeners()).size).toBe(2)
      await set(limit, value)
      const { wake, woken } = await staller.stall(20_000)
      try {
        const told = await listeners()
        await caches.near.invalidateMany(IDS)
        const waiting = new Map<string, number>()
        const cut = async () => {
          const now = await listeners()
          for (const [id, bytes] of now) if (bytes > 0) waiting.set(id, Math.max(waiting.get(id) ?? 0, bytes))
          return [...waiting.keys()].filter((id) => !now.has(id))
        }
        // bound: as much as systems keep for a connection, many times
        for (let nth = 0; nth < 1500 && (await cut()).length === 0; nth++) await flood()
        const ended = await cut()
        expect(ended).toHaveLength(1)
        expect(told.has(ended[0] ?? '')).toBe(true)
        expect(Math.max(...waiting.values())).toBeLessThan(mb * 2 ** 20)
        // Up to then it may serve what it holds.
        await sleep(NEAR.maxStalenessMs)
        wake()
        expect(readsOf(await woken, 'near')).toEqual(all('new'))
        // Told again, by another connection.
        await staller.hold()
        await expect.poll(async () => (await listeners()).size).toBe(2)
        expect((await listeners()).has(ended[0] ?? '')).toBe(false)
      } finally {
        wake()
        await woken
        await set(limit, before)
        await port.pipeline(long.map((key) => ({ key, command: ['DEL', key], repeat: 'safe' })))
      }
    },
  )
})

it('who is told of all changes has no place in the table of what was read, and cannot lose it', async () => {
  await port.onEachPrimary(['CONFIG', 'SET', 'tracking-table-max-keys', 1])
  const heard = new Set<string>()
  let gaps = 0
  await using tracking = trackChanges(
    port,
    { prefixes: [`${NAMESPACE}:table:`], proofMs: 20 },
    { changed: (key) => heard.add(key), gap: () => gaps++ },
  )
  await expect.poll(() => tracking.proofs().size).toBe(3)
  const keys = Array.from({ length: 60 }, (_, n) =>
    keyOf({ namespace: NAMESPACE, pattern: 'table', name: 't' }, [n]),
  )
  await port.pipeline(keys.map((key) => ({ key, command: ['SET', key, ''], repeat: 'safe' })))
  await port.pipeline(keys.map((key) => ({ key, command: ['GET', key], repeat: 'safe' })))
  heard.clear()
  await port.pipeline(keys.map((key) => ({ key, command: ['SET', key, '1'], repeat: 'safe' })))
  await expect.poll(() => heard.size).toBe(keys.length)
  expect(gaps).toBe(0)
  for (const { result } of await port.onEachPrimary(['INFO', 'stats'])) {
    expect(result).toMatchObject({ value: expect.stringContaining('tracking_total_keys:0') })
  }
})
