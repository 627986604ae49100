import { connect } from 'slotwise/ioredis'
import { type Lock, Locks } from 'slotwise/lock'
import type { RedisPort } from 'slotwise/redis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { RecountRepository } from '../src/repositories/recounts.js'
import { RecountService } from '../src/services/recount.js'
import { Harness } from './support/service.js'

const harness = new Harness()
let port: RedisPort
const failed: unknown[] = []
beforeAll(async () => {
  await harness.start({ RECOUNT_AT: 'off' })
  const { redisNodes, namespace } = harness.config
  port = await connect({ nodes: redisNodes, namespace })
})
afterAll(async () => {
  await port.close()
  await harness.stop()
})

const repository = () => new RecountRepository(harness.db)
/** A lock whose holder is not told of its end, as one that stood still when it had just looked. */
const unaware = (lock: Lock): Lock => ({
  resource: lock.resource,
  key: lock.key,
  token: lock.token,
  signal: new AbortController().signal,
  remainingMs: () => 1,
  assertHeld: () => {},
  extend: (...args) => lock.extend(...args),
  release: () => lock.release(),
  [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
})
/** One process. */
function recount(recounts = repository(), ttlMs?: number, seen = (lock: Lock) => lock): RecountService {
  const locks = new Locks(port, { name: 'nights', quarantine: false })
  const shorter = Object.assign(Object.create(locks) as Locks, {
    tryAcquire: async (...[resource, options]: Parameters<Locks['tryAcquire']>) => {
      const outcome = await locks.tryAcquire(resource, ttlMs === undefined ? options : { ttlMs })
      return outcome.acquired ? { ...outcome, lock: seen(outcome.lock) } : outcome
    },
  })
  return new RecountService({
    locks: shorter,
    pool: harness.db.pool,
    recounts,
    onError: (error) => void failed.push(error),
  })
}
let days = 0
const aDay = () => new Date(Date.UTC(2030, 0, ++days)).toISOString().slice(0, 10)
const counted = async (tenant: string, comment: string) => {
  const sql = 'select likes from comments where tenant_id = $1 and id = $2'
  const { rows } = await harness.db.pool.query<{ likes: number }>(sql, [tenant, comment])
  return rows[0]?.likes
}
/** By hand in the database, which the caches are told of. */
async function miscount(tenant: string, comment: string, likes: number): Promise<void> {
  const client = await harness.db.pool.connect()
  try {
    await client.query("begin; set local slotwise_outbox.quiet = 'off'")
    const sql = 'update comments set likes = $3 where tenant_id = $1 and id = $2'
    await client.query(sql, [tenant, comment, likes])
    await client.query('commit')
  } finally {
    client.release()
  }
}

describe('the nightly recount', () => {
  it('corrects what is too much and too little, and readers see it', async () => {
    const api = await harness.tenant()
    await api.entity('e')
    const [many, none] = [await api.comment('e', 'many'), await api.comment('e', 'none')]
    for (const user of ['ann', 'bob']) await api.call('PUT', `/v1/comments/${many}/like`, { user })
    await miscount(api.tenant, many, 1)
    await miscount(api.tenant, none, 7)
    // In the cache as it is wrong.
    await vi.waitFor(async () => expect((await api.get(`/v1/comments/${none}`)).body.likes).toBe(7), {
      timeout: 10_000,
    })
    const result = await recount().run(aDay())
    expect(result).toMatchObject({ corrected: 2 })
    expect([await counted(api.tenant, many), await counted(api.tenant, none)]).toEqual([2, 0])
    await vi.waitFor(async () => expect((await api.get(`/v1/comments/${none}`)).body.likes).toBe(0), {
      timeout: 10_000,
    })
    await vi.waitFor(async () => expect((await api.get(`/v1/comments/${many}`)).body.likes).toBe(2), {
      timeout: 10_000,
    })
  })

  it('is done by one of many processes, once a day', async () => {
    const day = aDay()
    const results = await Promise.all(Array.from({ length: 6 }, () => recount().run(day)))
    expect(results.filter((result) => result !== undefined)).toHaveLength(1)
    expect(await recount().run(day)).toBeUndefined()
    expect(await recount().run(aDay())).toMatchObject({ corrected: 0 })
  })

  it('loses no like that is given meanwhile', async () => {
    const api = await harness.tenant()
    await api.entity('e')
    const comment = await api.comment('e', 'busy')
    const state = { isOver: false }
    const likes = Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const { status } = await api.call('PUT', `/v1/comments/${comment}/like`, { user: `user ${i}` })
        expect(status).toBe(200)
      }),
    ).finally(() => (state.isOver = true))
    let rounds = 0
    while (!state.isOver) {
      await recount().run(aDay())
      rounds++
    }
    await likes
    expect(rounds).toBeGreaterThan(0)
    expect(await counted(api.tenant, comment)).toBe(60)
  })

  it('writes nothing any more once another process has the lock, though it does not know', async () => {
    const api = await harness.tenant()
    await api.entity('e')
    const comment = await api.comment('e', 'stale')
    const day = aDay()
    let goOn: (() => void) | undefined
    class Standing extends RecountRepository {
      #looks = 0
      override async hasEnded(...args: Parameters<RecountRepository['hasEnded']>) {
        const hasEnded = await super.hasEnded(...args)
        // Stands still with the lock, in front of its first transaction.
        if (++this.#looks === 2) await new Promise<void>((resolve) => (goOn = resolve))
        return hasEnded
      }
    }
    const late = recount(new Standing(harness.db), 1000, unaware).run(day)
    late.catch(() => {})
    await vi.waitFor(() => expect(goOn).toBeDefined(), { timeout: 10_000 })
    await vi.waitFor(async () => expect(await recount().run(day)).toBeDefined(), { timeout: 20_000 })
    await miscount(api.tenant, comment, 7)
    goOn?.()
    await expect(late).rejects.toMatchObject({ code: 'STALE_TOKEN' })
    expect(await counted(api.tenant, comment)).toBe(7)
  })

  it('writes nothing of a part that was under way when the lock was lost', async () => {
    const api = await harness.tenant()
    await api.entity('e')
    const comment = await api.comment('e', 'late')
    const day = aDay()
    let waits: (() => void) | undefined
    class Slow extends RecountRepository {
      override async part(...args: Parameters<RecountRepository['part']>) {
        const part = await super.part(...args)
        // Stands still in front of the COMMIT for longer than the lock lasts.
        await new Promise<void>((resolve) => (waits = resolve))
        return part
      }
    }
    const late = recount(new Slow(harness.db), 1000).run(day)
    late.catch(() => {})
    await vi.waitFor(() => expect(waits).toBeDefined(), { timeout: 10_000 })
    await vi.waitFor(async () => expect(await recount().run(day)).toBeDefined(), { timeout: 20_000 })
    waits?.()
    await expect(late).rejects.toMatchObject({
      code: expect.stringMatching(/LOCK_LOST|STALE_TOKEN|OUTCOME/) as string,
    })
    expect(await counted(api.tenant, comment)).toBe(0)
    expect(failed).toEqual([])
  })
})
