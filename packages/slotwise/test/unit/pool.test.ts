import { expect, it } from 'vitest'
import { RedisUnavailableError } from '../../src/errors.js'
import type { DedicatedConnection } from '../../src/redis/dedicated.js'
import { Pool } from '../../src/redis/pool.js'

const SETTINGS = { min: 0, max: 2, poolTimeoutMs: 1000, idleTimeoutMs: 60_000 }

/** What a pool needs of a connection. */
class Fake {
  readonly #ended = new AbortController()
  readonly signal = this.#ended.signal
  idleSince = 0
  close(): void {
    this.#ended.abort()
  }
  async reset(): Promise<boolean> {
    return true
  }
}

function pooled(open: () => Promise<Fake> = async () => new Fake()) {
  const opened: Fake[] = []
  const pool = new Pool('h:1', SETTINGS, async () => {
    const fake = await open()
    opened.push(fake)
    return fake as unknown as DedicatedConnection
  })
  return { pool, living: () => opened.filter(({ signal }) => !signal.aborted).length, opened }
}

it('opens no more than `max`, though one ends just when somebody waits and somebody else comes', async () => {
  const { pool, living } = pooled()
  const first = await pool.take(1000)
  await pool.take(1000)
  const waiting = pool.take(1000)
  first.close()
  const given = pool.give(first)
  const late = pool.take(50)
  await given
  await waiting
  await expect(late).rejects.toThrow(/taken/)
  expect(living()).toBe(2)
})

it('keeps nobody waiting for a connection that does not come, and gives it to the next when it does', async () => {
  const gate: { open: () => void } = { open: () => {} }
  const opening = new Promise<void>((resolve) => (gate.open = resolve))
  const { pool, opened } = pooled(async () => {
    await opening
    return new Fake()
  })
  const from = performance.now()
  await expect(pool.take(30)).rejects.toThrow(RedisUnavailableError)
  const reason = new Error('enough')
  const controller = new AbortController()
  const aborted = pool.take(5000, controller.signal)
  controller.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  expect(performance.now() - from).toBeLessThan(1000)
  gate.open()
  await pool.take(1000)
  await pool.take(1000)
  expect(opened).toHaveLength(2)
})

it('sends who waits elsewhere when its node has left', async () => {
  const { pool } = pooled()
  await pool.take(1000)
  await pool.take(1000)
  const waiting = pool.take(1000)
  pool.leave()
  await expect(waiting).rejects.toThrow(RedisUnavailableError)
})
