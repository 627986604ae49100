import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import { connect } from 'slotwise/ioredis'
import { type LocalCluster, startLocalCluster } from 'slotwise/local'
import { keyOf, slotOf } from 'slotwise/redis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Answer, Api } from './support/api.js'
import { Harness } from './support/service.js'

let cluster: LocalCluster
const service = new Harness()

beforeAll(async () => {
  cluster = await startLocalCluster()
  await service.start({ REDIS_NODES: cluster.connectOptions.nodes.join(',') })
}, 60_000)
afterAll(async () => {
  await service.stop()
  await cluster.stop()
})

/** What came back of one call, and when. */
interface Seen {
  readonly atMs: number
  readonly tookMs: number
  readonly answer: Answer
}

/** Calls again and again until it is told to stop. */
async function keepCalling(
  state: { over: boolean },
  seen: Seen[],
  call: () => Promise<Answer>,
): Promise<void> {
  while (!state.over) {
    const from = performance.now()
    const answer = await call()
    seen.push({ atMs: performance.now(), tookMs: performance.now() - from, answer })
    await sleep(5)
  }
}

/** A key of a slot that the first node serves, and the replica that will. */
async function victim(): Promise<string> {
  const [first] = cluster.nodes
  await using port = await connect({ ...cluster.connectOptions })
  for (let i = 0; ; i++) {
    const key = keyOf({ namespace: '', pattern: 'probe', name: 'x' }, String(i))
    if (port.topology().ownerOf(slotOf(key))?.port === first?.port) return key
  }
}

/** When a server other than the first accepts a write of this key. */
async function promotedAt(key: string): Promise<number> {
  const probes = cluster.nodes.slice(1).map(({ port }) => new Redis(port, '127.0.0.1', { lazyConnect: true }))
  try {
    for (;;) {
      const tries = await Promise.allSettled(probes.map((probe) => probe.set(key, 'x')))
      if (tries.some(({ status }) => status === 'fulfilled')) return performance.now()
      await sleep(10)
    }
  } finally {
    for (const probe of probes) probe.disconnect()
  }
}

/** The longest that the machine took for what no node's death can delay, since it began. */
function machine(): { slowestMs: () => number; [Symbol.asyncDispose]: () => Promise<void> } {
  const alive = new Redis(cluster.nodes[1]?.port ?? 0, '127.0.0.1')
  let [slowestMs, over] = [0, false]
  const probing = (async () => {
    while (!over) {
      const from = performance.now()
      await Promise.all([alive.ping(), sql`select 1`.execute(service.db.kysely)])
      slowestMs = Math.max(slowestMs, performance.now() - from)
      await sleep(20)
    }
  })()
  return {
    slowestMs: () => slowestMs,
    [Symbol.asyncDispose]: async () => {
      over = true
      await probing.finally(() => alive.disconnect())
    },
  }
}

async function settle(api: Api): Promise<readonly string[]> {
  const ids: string[] = []
  for (let i = 0; i < 12; i++) {
    await api.entity(`e${i}`)
    ids.push(await api.comment(`e${i}`, 'text', 'ann'))
  }
  return ids
}

describe('when a primary dies under load', () => {
  it('every read and every write without a lock succeeds, nothing fails without a name, and the caches are told of writes within 1.5 s of the promotion', async () => {
    const api = await service.tenant()
    const ids = await settle(api)
    const key = await victim()
    const state = { over: false }
    const reads: Seen[] = []
    const edits: Seen[] = []
    const creates: Seen[] = []
    const likes: Seen[] = []
    const load = [
      ...ids.map((id) => keepCalling(state, reads, () => api.get(`/v1/comments/${id}`))),
      ...ids.map((_, i) => keepCalling(state, reads, () => api.thread(`e${i}`))),
      ...ids.map((id, i) =>
        keepCalling(state, edits, () =>
          api.patch(`/v1/comments/${id}`, { user: 'ann', body: { content: `edit ${i}` } }),
        ),
      ),
      keepCalling(state, creates, () =>
        api.post('/v1/entities/e0/comments', { user: 'ann', body: { content: 'new' } }),
      ),
      keepCalling(state, likes, () => api.put(`/v1/comments/${ids[1]}/like`, { user: `u${Math.random()}` })),
    ]
    const ended = Promise.all(load).finally(() => (state.over = true))
    onTestFinished(async () => {
      state.over = true
      await ended
    })
    await expect.poll(() => edits.length, { timeout: 20_000 }).toBeGreaterThan(50)
    await using probe = machine()
    const killedAt = performance.now()
    await cluster.kill(0)
    const promoted = await promotedAt(key)
    // Until every comment has been edited and read, and Redis knew of it, well after the promotion.
    await expect
      .poll(() => edits.filter(({ atMs }) => atMs > promoted + 1500).length, { timeout: 20_000 })
      .toBeGreaterThan(2 * ids.length)
    state.over = true
    await ended

    const statuses = (seen: readonly Seen[]) => [...new Set(seen.map(({ answer }) => answer.status))]
    expect(statuses(reads)).toEqual([200])
    expect(statuses(edits)).toEqual([200])
    expect(statuses(creates)).toEqual([201])
    for (const { answer } of likes) {
      if (answer.status !== 200)
        expect(answer).toMatchObject({ status: 503, body: { code: 'REDIS_UNAVAILABLE' } })
    }
    const after = (seen: readonly Seen[], bad: (one: Seen) => boolean) =>
      Math.max(
        0,
        ...seen
          .filter(({ atMs }) => atMs > killedAt)
          .filter(bad)
          .map(({ atMs }) => atMs - promoted),
      )
    const pending = ({ answer }: Seen) => answer.headers.get('x-cache') === 'pending'
    const recovered = {
      edits: after(edits, pending),
      creates: after(creates, pending),
      likes: after(likes, ({ answer }) => answer.status !== 200 || pending({ answer, atMs: 0, tookMs: 0 })),
    }
    const longest = (seen: readonly Seen[]) => Math.max(...seen.map(({ tookMs }) => tookMs)).toFixed(0)
    console.log(
      `promoted ${(promoted - killedAt).toFixed(0)} ms after the kill; last pending edit ${recovered.edits.toFixed(0)} ms, create ${recovered.creates.toFixed(0)} ms, failed or pending like ${recovered.likes.toFixed(0)} ms after that; ` +
        `slowest of the machine ${probe.slowestMs().toFixed(0)} ms, read ${longest(reads)} ms of ${reads.length}, edit ${longest(edits)} ms of ${edits.length}, create ${longest(creates)} ms of ${creates.length}`,
    )
    // The node that died was one that mattered.
    expect(edits.some((one) => one.atMs > killedAt && one.atMs < promoted && pending(one))).toBe(true)
    // Each waits for several of those.
    const withinMs = 1500 + 4 * probe.slowestMs()
    expect(recovered.edits).toBeLessThan(withinMs)
    expect(recovered.creates).toBeLessThan(withinMs)

    // And what was written meanwhile is what is read now.
    for (const [i, id] of ids.entries()) {
      expect((await api.get(`/v1/comments/${id}`)).body.content).toBe(`edit ${i}`)
      expect((await api.get(`/v1/comments/${id}`)).headers.get('x-cache')).not.toBe('bypass')
    }
  }, 60_000)
})
