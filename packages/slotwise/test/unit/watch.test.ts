import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { tellingServers } from '../../src/invalidation/tracking/servers.js'
import { Watch } from '../../src/invalidation/tracking/watch.js'
import type { BorrowedConnection, BorrowTarget, RedisPort, Topology } from '../../src/redis/index.js'
import { slotOf } from '../../src/slots.js'

const NODE = '127.0.0.1:7000'
const node = { id: 'a', host: '127.0.0.1', port: 7000, role: 'primary', epoch: 1 } as const
const topology: Topology = { version: 1, nodes: [node], ownerOf: () => node, replicasOf: () => [] }

/** What a connection of the one node answers, and what it tells unasked. */
interface Server {
  readonly answer: (commands: readonly string[]) => Promise<void> | void
  push?: BorrowTarget['onPush']
  move?: (slot: number) => void
}

/** A port to a cluster of one node that is scripted. */
function portTo(server: Server): RedisPort {
  const ended = new AbortController()
  const reply = async (commands: readonly (readonly unknown[])[]) => {
    await server.answer(commands.map(([name]) => String(name)))
    return commands.map(() => ({ status: 'fulfilled', value: 'OK' }) as const)
  }
  const connection: BorrowedConnection = {
    node: NODE,
    signal: ended.signal,
    call: async (command) => {
      await reply([command])
      return 'OK'
    },
    pipeline: reply,
  }
  return {
    namespace: 'unit',
    topology: () => topology,
    onTopology: (listener: Parameters<RedisPort['onTopology']>[0]) => {
      server.move = (slot) =>
        listener(topology, [{ kind: 'slots-moved', slots: [slot], from: node, to: node }])
      return () => {}
    },
    borrow: async (target: BorrowTarget, use: (connection: BorrowedConnection) => Promise<unknown>) => {
      server.push = target.onPush
      return await use(connection)
    },
  } as unknown as RedisPort
}

const MAX_STALENESS_MS = 200
const KEY = 'unit:cache:test:{7}'

function watching(server: Server) {
  const changed: string[] = []
  const spaces = [{ namespace: 'unit', pattern: 'cache', name: 'test' }]
  const watch = new Watch(
    MAX_STALENESS_MS,
    { changed: (key) => changed.push(key), moved: () => {}, failed: () => {} },
    (heard, demand) =>
      tellingServers(portTo(server), { spaces, maxStalenessMs: MAX_STALENESS_MS }, heard, demand),
  )
  return { watch, changed, [Symbol.dispose]: () => watch.close() }
}

/** A read of the key that the node has answered, once the node is listened to. */
async function bound(watch: Watch) {
  for (;;) {
    const bond = watch.end(KEY, watch.begin(KEY), NODE)
    if (bond !== undefined) return bond
    await sleep(1)
  }
}

const isFresh = (watch: Watch, bond: Awaited<ReturnType<typeof bound>>) =>
  watch.isFresh(bond, performance.now(), Date.now())

describe('what has been read', () => {
  it('is known for as long as the node proves itself, and no longer', async () => {
    let hangs = false
    using scene = watching({ answer: () => (hangs ? new Promise(() => {}) : undefined) })
    const bond = await bound(scene.watch)
    const from = performance.now()
    while (performance.now() - from < 3 * MAX_STALENESS_MS) {
      expect(isFresh(scene.watch, bond)).toBe(true)
      await sleep(5)
    }
    hangs = true
    const since = performance.now()
    await expect.poll(() => isFresh(scene.watch, bond), { interval: 2 }).toBe(false)
    expect(performance.now() - since).toBeLessThan(MAX_STALENESS_MS + 50)
  })

  /**
   * The node changes the key, answers the first PING before it tells, as it may, and then nothing arrives any more. By how
   * much what is served after that is behind.
   */
  async function behindAfter(
    answersSecond: (server: { told: boolean }) => Promise<void> | void,
  ): Promise<number> {
    const state = { told: false, changedAt: Number.POSITIVE_INFINITY }
    let isSecond = false
    using scene = watching({
      answer: (commands) => {
        if (commands.includes('CLIENT')) return undefined
        isSecond = commands.length === 1
        if (state.changedAt === Number.POSITIVE_INFINITY) return undefined
        return isSecond ? answersSecond(state) : undefined
      },
    })
    const bond = await bound(scene.watch)
    await sleep(MAX_STALENESS_MS / 2)
    state.changedAt = performance.now()
    let last = state.changedAt
    while (performance.now() - state.changedAt < 3 * MAX_STALENESS_MS) {
      if (isFresh(scene.watch, bond)) last = performance.now()
      await sleep(2)
    }
    return last - state.changedAt
  }

  it('is not known any longer by an answer that may have overtaken the news', async () => {
    expect(await behindAfter(() => new Promise(() => {}))).toBeLessThan(MAX_STALENESS_MS + 20)
  })

  it('would be, if one PING were enough', async () => {
    // As if the second had been answered: nobody waits for it.
    expect(await behindAfter(() => {})).toBeGreaterThan(2 * MAX_STALENESS_MS)
  })
})

describe('a read', () => {
  it('that began before the node was listened to is known of by nobody', async () => {
    const server: Server = { answer: () => sleep(20) }
    using scene = watching(server)
    const reading = scene.watch.begin(KEY)
    await bound(scene.watch)
    expect(scene.watch.end(KEY, reading, NODE)).toBeUndefined()
  })

  it('that another node has answered is known of by nobody', async () => {
    using scene = watching({ answer: () => {} })
    await bound(scene.watch)
    expect(scene.watch.end(KEY, scene.watch.begin(KEY), '127.0.0.1:7001')).toBeUndefined()
  })

  it('that the news of a change overtakes is known of by nobody, and the next one is', async () => {
    const server: Server = { answer: () => {} }
    using scene = watching(server)
    await bound(scene.watch)
    const reading = scene.watch.begin(KEY)
    server.push?.(['invalidate', [KEY]])
    const next = scene.watch.begin(KEY)
    expect(scene.watch.end(KEY, reading, NODE)).toBeUndefined()
    expect(scene.watch.end(KEY, next, NODE)).toBeDefined()
    expect(scene.changed).toEqual([KEY])
  })

  it('that is under way while its slot moves is known of by nobody: whoever answers may be the old owner', async () => {
    const server: Server = { answer: () => {} }
    using scene = watching(server)
    await bound(scene.watch)
    const reading = scene.watch.begin(KEY)
    server.move?.(slotOf(KEY))
    expect(scene.watch.end(KEY, reading, NODE)).toBeUndefined()
    expect(scene.watch.end(KEY, scene.watch.begin(KEY), NODE)).toBeDefined()
  })

  it('is not known of once everything has been removed', async () => {
    const server: Server = { answer: () => {} }
    using scene = watching(server)
    const before = scene.watch.begin(KEY)
    await bound(scene.watch)
    await sleep(2)
    const during = scene.watch.begin(KEY)
    server.push?.(['invalidate', null])
    expect(scene.watch.end(KEY, during, NODE)).toBeUndefined()
    expect(scene.watch.end(KEY, before, NODE)).toBeUndefined()
  })
})

it('a clock of the machine that jumps makes everything suspect, and nothing known for longer', async () => {
  using scene = watching({ answer: () => {} })
  const bond = await bound(scene.watch)
  const now = performance.now()
  expect(scene.watch.isFresh(bond, now, Date.now() + 2 * MAX_STALENESS_MS)).toBe(false)
  // As after a suspension: the one stood still, the other did not.
  expect(scene.watch.isFresh(bond, now + 10 * MAX_STALENESS_MS, Date.now())).toBe(false)
})

it('a node is asked for nothing while nobody wants to know', async () => {
  let asked = 0
  using scene = watching({
    answer: () => {
      asked++
    },
  })
  await bound(scene.watch)
  await sleep(3 * MAX_STALENESS_MS)
  const before = asked
  await sleep(3 * MAX_STALENESS_MS)
  expect(asked).toBe(before)
})
