import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ClosedError, LockBusyError } from '../../../src/errors.js'
import { Locks } from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { twoPorts } from '../../support/any-port.js'
import { letWait, waitingFor } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'

let ports: readonly [RedisPort, RedisPort]
let holders: Locks
let waiters: Locks
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  holders = new Locks(ports[0], { name: 'leaving', quarantine: false })
  waiters = new Locks(ports[1], { name: 'leaving', quarantine: false })
})
afterAll(async () => {
  await Promise.all([holders.close(), waiters.close()])
  await Promise.all(ports.map((port) => port.close()))
})

const keyOfLock = (resource: string) =>
  keyOf({ namespace: 'test', pattern: 'lock', name: 'leaving' }, resource)
const becomes = (resource: string, count: number) =>
  vi.waitFor(async () => expect(await waitingFor(ports[0], keyOfLock(resource))).toBe(count), { interval: 2 })
/** So many of processes that are gone. */
const letDie = (resource: string, count: number) => {
  const dead = Array.from({ length: count }, (_, i) => [`dead-${i}`, Date.now() + 60_000] as const)
  return letWait(ports[0], keyOfLock(resource), Object.fromEntries(dead))
}

/** A port that counts the channels it hears, and whose answers to who wants a lock wait as long as they are held. */
function counting(port: RedisPort) {
  let holding: Promise<unknown> | undefined
  let open = 0
  return portWith(port, {
    open: () => open,
    subscribe: async (...args: Parameters<RedisPort['subscribe']>) => {
      const subscription = await port.subscribe(...args)
      open++
      const close = async () => {
        open--
        await subscription.close()
      }
      return { isLive: true, close, [Symbol.asyncDispose]: close }
    },
    call: async (...[call, options]: Parameters<RedisPort['call']>) => {
      const answer = await port.call(call, options)
      if ('script' in call && call.script.name === 'lock/acquire') await holding
      return answer
    },
    hold: (): (() => void) => {
      let go = () => {}
      holding = new Promise<void>((resolve) => {
        go = resolve
      })
      return () => {
        holding = undefined
        go()
      }
    },
  })
}

describe('in a line', () => {
  it('two that died cost those behind them two seconds each at most', async () => {
    const resource = randomUUID()
    const holder = await holders.acquire(resource, { ttlMs: 25_000 })
    await letDie(resource, 2)
    const waiting = waiters.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await becomes(resource, 3)
    const from = performance.now()
    await holder.release()
    await (await waiting).release()
    expect(performance.now() - from).toBeLessThan(5000)
  })

  it('one that died and one that gives up as it is its turn stop nobody behind them', async () => {
    const resource = randomUUID()
    const holder = await holders.acquire(resource, { ttlMs: 25_000 })
    await letDie(resource, 1)
    const leaving = new AbortController()
    const leaver = waiters.acquire(resource, { ttlMs: 5000, waitMs: 20_000, signal: leaving.signal })
    leaver.catch(() => {})
    await becomes(resource, 2)
    const waiting = waiters.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await becomes(resource, 3)
    const from = performance.now()
    await holder.release()
    // It is called as the next, and leaves before it asks.
    await becomes(resource, 2)
    leaving.abort(new Error('enough'))
    await expect(leaver).rejects.toThrow('enough')
    await (await waiting).release()
    expect(performance.now() - from).toBeLessThan(4000)
  })

  it('nobody waits for longer than it wants to, though it is called as the next shortly before', async () => {
    const resource = randomUUID()
    const holder = await holders.acquire(resource, { ttlMs: 25_000 })
    const first = waiters.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await becomes(resource, 1)
    const from = performance.now()
    const second = waiters.acquire(resource, { ttlMs: 5000, waitMs: 900 })
    second.catch(() => {})
    await becomes(resource, 2)
    await vi.waitFor(() => expect(performance.now() - from).toBeGreaterThan(700))
    await holder.release()
    const held = await first
    await expect(second).rejects.toThrow(LockBusyError)
    expect(performance.now() - from).toBeLessThan(1500)
    await held.release()
  })
})

describe('a channel', () => {
  it('is not heard on and on where the last who asked was called before its answer came', async () => {
    const resource = randomUUID()
    const port = counting(ports[1])
    await using locks = new Locks(port, { name: 'leaving', quarantine: false })
    const holder = await holders.acquire(resource, { ttlMs: 25_000 })
    const first = locks.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await becomes(resource, 1)
    await holder.release()
    const mine = await first
    expect(port.open()).toBe(1)
    const go = port.hold()
    const second = locks.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    await becomes(resource, 1)
    const called = vi.waitFor(async () => expect(await waitingFor(ports[0], keyOfLock(resource))).toBe(0))
    await mine.release()
    await called
    go()
    await (await second).release()
    await vi.waitFor(() => expect(port.open()).toBe(0), { timeout: 5000 })
  })

  it('is not opened by an answer that comes once the locks are closed, and who asked is told so', async () => {
    const resource = randomUUID()
    const port = counting(ports[1])
    const locks = new Locks(port, { name: 'leaving', quarantine: false })
    const holder = await holders.acquire(resource, { ttlMs: 25_000 })
    const go = port.hold()
    const waiting = locks.acquire(resource, { ttlMs: 5000, waitMs: 20_000 })
    waiting.catch(() => {})
    await becomes(resource, 1)
    await locks.close()
    go()
    await expect(waiting).rejects.toThrow(ClosedError)
    expect(port.open()).toBe(0)
    await becomes(resource, 0)
    await holder.release()
  })
})
