import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OutcomeUnknownError, RedisUnavailableError, SlotwiseError } from '../../src/errors.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'
import { ADAPTERS } from '../support/adapters.js'
import { promotion } from '../support/port-traffic.js'

const DEADLINE_MS = 500
/** What a timer may be late by, besides what the event loop itself is. */
const LATE_MS = 50
const MAX = 3

let cluster: LocalCluster
let serial = 0

beforeAll(async () => {
  const config = { 'cluster-require-full-coverage': 'no' }
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000, config })
}, 60_000)
afterAll(() => cluster.stop())

const keyFor = (id: string) => keyOf({ namespace: '', pattern: 'borrowed', name: String(++serial) }, id)
const indexOf = (node: { readonly port: number } | undefined) =>
  cluster.nodes.findIndex(({ port }) => port === node?.port)

/** How a call ended, and when. */
async function timed(call: () => Promise<unknown>) {
  const from = performance.now()
  const error: unknown = await call().then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return { error, tookMs: performance.now() - from }
}

let port: RedisPort
const loopDelay = monitorEventLoopDelay({ resolution: 5 })
const bound = (deadlineMs: number) => deadlineMs + LATE_MS + loopDelay.max / 1e6
const ownerOf = (key: Key) => port.topology().ownerOf(slotOf(key))

describe.each(ADAPTERS)('a connection of its own, over %s', (_, connect) => {
  beforeEach(async () => {
    await cluster.whenHealthy()
    port = await connect({
      ...cluster.connectOptions,
      commandTimeoutMs: DEADLINE_MS,
      connectionsPerNode: { min: 0, max: MAX },
    })
    loopDelay.reset()
    loopDelay.enable()
  }, 30_000)
  afterEach(async () => {
    loopDelay.disable()
    await port.close()
  })

  it('to a node that hangs costs its caller the deadline, whether it is open or has to be opened, and pops nothing for nobody', async () => {
    const key = keyFor('list')
    const pop = (deadlineMs: number) =>
      timed(() => port.call({ key, command: ['BLPOP', key, 30] }, { deadlineMs }))
    const index = indexOf(ownerOf(key))
    const signals: AbortSignal[] = []
    let hang = () => {}
    const hung = new Promise<void>((resolve) => (hang = resolve))
    const borrowed = port.borrow({ key }, async (connection) => {
      signals.push(connection.signal)
      await hung
      return await timed(() => connection.call(['GET', key], { deadlineMs: 200 }))
    })
    await expect.poll(() => signals.length).toBe(1)
    await cluster.pause(index)
    try {
      hang()
      // One of them on an idle connection at most; the others have to open theirs.
      const ended = await Promise.all([pop(200), pop(250), pop(300)])
      const late = await borrowed
      for (const { tookMs } of ended) expect(tookMs).toBeLessThan(bound(300))
      for (const { error } of ended)
        expect(error instanceof RedisUnavailableError || error instanceof OutcomeUnknownError).toBe(true)
      expect(late.error).toBeInstanceOf(OutcomeUnknownError)
      expect(late.tookMs).toBeLessThan(bound(200))
      expect(signals[0]?.aborted).toBe(true)
    } finally {
      await cluster.resume(index)
    }
    const blocked = async () =>
      String(await port.onNode(ownerOf(key)?.id ?? '', ['CLIENT', 'LIST'], { deadlineMs: 3000 })).match(
        /flags=b /g,
      )
    await expect.poll(blocked, { timeout: 5000 }).toBeNull()
    await port.call({ key, command: ['RPUSH', key, 'kept'] }, { deadlineMs: 3000 })
    expect(await port.call({ key, command: ['LRANGE', key, 0, -1] })).toEqual(['kept'])
    // None of them has leaked.
    let open = 0
    let most = 0
    const use = () =>
      port.borrow({ key }, async (connection) => {
        most = Math.max(most, ++open)
        await connection.call(['PING'])
        open--
      })
    await Promise.all(Array.from({ length: MAX + 1 }, use))
    expect(most).toBeLessThanOrEqual(MAX)
  })

  it('is given up with its caller while it is being opened, and when the port is closed', async () => {
    const key = keyFor('signal')
    const index = indexOf(ownerOf(key))
    await cluster.pause(index)
    const reason = new Error('enough')
    const controller = new AbortController()
    const call = timed(() =>
      port.call({ key, command: ['BLPOP', key, 30] }, { deadlineMs: 400, signal: controller.signal }),
    )
    await sleep(20)
    controller.abort(reason)
    try {
      expect((await call).error).toBe(reason)
      expect((await call).tookMs).toBeLessThan(bound(20))
    } finally {
      await cluster.resume(index)
    }
    const own = await connect({ ...cluster.connectOptions, commandTimeoutMs: 100 })
    let ended = false
    const borrowed = own.borrow({ key }, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      ended = true
    })
    await sleep(50)
    expect((await timed(() => own.close())).tookMs).toBeLessThan(bound(100))
    await borrowed
    expect(ended).toBe(true)
  })

  it.each([
    ['is killed', 'kill', 'restart'],
    ['is replaced while it stands still', 'pause', 'resume'],
  ] as const)(
    'to a primary that %s: no transaction takes half effect, and no write is lost that a replica acknowledged',
    async (_case, harm, mend) => {
      const pairs = Array.from({ length: 6 }, (_unused, i) => keyFor(String(i)))
      const other = (key: Key) => `${key}other` as Key
      const errors: unknown[] = []
      const longest = { ms: 0 }
      let over = false
      const acknowledged: { readonly key: Key; readonly by: number }[] = []
      const noting = async (call: () => Promise<unknown>) => {
        const { error, tookMs } = await timed(call)
        if (error !== undefined) errors.push(error)
        longest.ms = Math.max(longest.ms, tookMs)
        await sleep(1)
      }
      const transacting = pairs.map(async (key) => {
        while (!over) {
          await noting(() =>
            port.borrow({ key, deadlineMs: DEADLINE_MS }, async (connection) => {
              await connection.call(['WATCH', key])
              await connection.pipeline([['MULTI'], ['INCR', key], ['INCR', other(key)]])
              await connection.call(['EXEC'])
            }),
          )
        }
      })
      const writing = [0, 1, 2, 3, 4, 5].map(async (worker) => {
        for (let i = 0; !over; i++) {
          const key = keyOf({ namespace: '', pattern: 'waited', name: String(serial) }, [worker, i])
          await noting(async () => {
            const { acknowledgedBy } = await port.writeThenWait(
              { key, command: ['SET', key, 1] },
              { replicas: 1, waitMs: 50 },
            )
            acknowledged.push({ key, by: acknowledgedBy })
          })
        }
      })
      const [first] = pairs
      const index = indexOf(first === undefined ? undefined : ownerOf(first))
      await expect.poll(() => acknowledged.length).toBeGreaterThan(100)
      await cluster[harm](index)
      try {
        await promotion(cluster, port, index)
        if (mend === 'resume') await cluster.resume(index)
        const before = acknowledged.length
        await expect.poll(() => acknowledged.length - before, { timeout: 5000 }).toBeGreaterThan(200)
      } finally {
        over = true
        await Promise.all([...transacting, ...writing])
        await cluster[mend](index)
      }
      expect(errors.filter((error) => !(error instanceof SlotwiseError))).toEqual([])
      // To get a connection, and four commands on it.
      expect(longest.ms).toBeLessThan(bound(DEADLINE_MS * 4))
      const read = (keys: readonly Key[]) =>
        port.pipeline(
          keys.map((key) => ({ key, command: ['GET', key], repeat: 'safe' }) as const),
          { deadlineMs: 5000 },
        )
      expect(await read(pairs)).toEqual(await read(pairs.map(other)))
      const safe = acknowledged.filter(({ by }) => by >= 1)
      const values = await read(safe.map(({ key }) => key))
      const lost = values.filter((value) => value.status !== 'fulfilled' || value.value !== '1')
      console.log(
        `${safe.length} of ${acknowledged.length} writes acknowledged by a replica, ${lost.length} of them lost; ${errors.length} calls failed`,
      )
      expect(safe.length).toBeGreaterThan(100)
      expect(lost).toEqual([])
    },
  )

  it('says that nobody acknowledged a write whose primary handed over while it waited, and that it stands', async () => {
    const key = keyFor('handover')
    const owner = ownerOf(key)
    const replica = port.topology().replicasOf(owner?.id ?? '')[0]
    expect.assert(owner !== undefined && replica !== undefined)
    // One replica, two asked for: it waits until it is a primary no more.
    const written = port.writeThenWait(
      { key, command: ['SET', key, 'v'] },
      { replicas: 2, waitMs: 9000, deadlineMs: 10_000 },
    )
    const blocked = async () => String(await port.onNode(owner.id, ['CLIENT', 'LIST'])).match(/cmd=wait/g)
    await expect.poll(blocked).not.toBeNull()
    await port.onNode(replica.id, ['CLUSTER', 'FAILOVER'])
    expect(await written).toMatchObject({ reply: 'OK' })
    expect((await written).acknowledgedBy).toBeLessThanOrEqual(1)
    expect(await port.call({ key, command: ['GET', key] }, { deadlineMs: 5000 })).toBe('v')
  })
})
