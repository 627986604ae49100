import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { RedisUnavailableError } from '../../../src/errors.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { WriteBehind } from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { type Call, nameOf } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const LEASE_MS = 400
const PARTITIONS = 4

/** A process that flushes, how often it has begun with each partition, and what of Redis does not answer it. */
function flushing({ name = randomUUID().slice(0, 8), leaseMs = LEASE_MS } = {}) {
  const claims = Array.from({ length: PARTITIONS }, () => 0)
  const written: unknown[] = []
  let isSilent: (call: Call) => boolean = () => false
  let write = async (_partition: number): Promise<void> => {}
  const through = portWith(port, {
    call: (async (call, options) => {
      if (!isSilent(call)) return await port.call(call, options)
      await sleep(options?.deadlineMs ?? 2000)
      throw new RedisUnavailableError('no answer in time')
    }) satisfies RedisPort['call'],
  })
  const writes = new WriteBehind<number>(through, {
    name,
    partitions: PARTITIONS,
    flushIntervalMs: 10,
    leaseMs,
    writeBatch: {
      claim: async (partition) => {
        claims[partition] = (claims[partition] ?? 0) + 1
        return undefined
      },
      write: async (rows, { partition }) => {
        await write(partition)
        written.push(...rows.map(({ id }) => id))
      },
    },
  })
  writes.start()
  return {
    writes,
    claims,
    written,
    silence: (which: (call: Call) => boolean) => (isSilent = which),
    onWrite: (act: typeof write) => (write = act),
    begun: () => vi.waitFor(() => expect(claims.filter((count) => count > 0)).toHaveLength(PARTITIONS)),
  }
}

const isOf = (call: Call, partition: number) =>
  String('keys' in call ? call.keys[0] : call.key).endsWith(`{${partition}}`)

it('a primary that does not answer costs no partition elsewhere its lease', async () => {
  const { writes, claims, silence, begun } = flushing()
  await begun()
  silence((call) => nameOf(call) === 'extend' && isOf(call, 0))
  await vi.waitFor(() => expect(claims[0]).toBeGreaterThan(2), { timeout: 10_000 })
  expect(claims.slice(1)).toEqual([1, 1, 1])
  await writes.close()
})

it('the partitions of a process that has died are with another within two terms of its lease', async () => {
  const both = { name: randomUUID().slice(0, 8), leaseMs: 1000 }
  const [dying, living] = [flushing(both), flushing(both)]
  await using _ = living.writes
  const shares = () => [dying, living].map(({ writes }) => writes.stats().partitions)
  await vi.waitFor(() => expect(shares()).toEqual([2, 2]), { timeout: 10_000 })
  dying.silence(() => true)
  const from = performance.now()
  await vi.waitFor(() => expect(shares()[1]).toBe(PARTITIONS), { timeout: 10_000, interval: 10 })
  expect(performance.now() - from).toBeLessThan(2 * both.leaseMs)
  dying.silence(() => false)
  await dying.writes.close()
})

it('a process that comes has its part within two terms of the lease, and what one hands over is with the others as soon', async () => {
  const both = { name: randomUUID().slice(0, 8), leaseMs: 1000 }
  const one = flushing(both)
  await using _ = one.writes
  const shared = (...parts: readonly number[]) =>
    vi.waitFor(() => expect(all.map(({ writes }) => writes.stats().partitions)).toEqual(parts), {
      timeout: 10_000,
      interval: 10,
    })
  const all = [one]
  await shared(PARTITIONS)
  const came = performance.now()
  const two = flushing(both)
  all.push(two)
  await shared(2, 2)
  expect(performance.now() - came).toBeLessThan(2 * both.leaseMs)
  const left = performance.now()
  await two.writes.close()
  await shared(PARTITIONS, 0)
  expect(performance.now() - left).toBeLessThan(2 * both.leaseMs)
})

it('what is flushed goes on while it is not known how many flush', async () => {
  const { writes, claims, silence, begun, written } = flushing()
  await begun()
  silence((call) => nameOf(call) === 'enrol')
  await sleep(3 * LEASE_MS)
  await writes.write('a', 1)
  await writes.drain({ signal: AbortSignal.timeout(5000) })
  expect(written).toEqual(['a'])
  expect(claims).toEqual([1, 1, 1, 1])
  silence(() => false)
  await writes.close()
})

it('a batch that never ends holds up its own partition alone, also when that is lost', async () => {
  const { writes, claims, silence, onWrite, begun, written } = flushing()
  await begun()
  const stuck = new Set<number>()
  onWrite(async (partition) => {
    if (stuck.size > 0) return
    stuck.add(partition)
    await new Promise(() => {})
  })
  await writes.write('a', 1)
  await vi.waitFor(() => expect(stuck.size).toBe(1))
  const [at = 0] = stuck
  silence((call) => nameOf(call) === 'extend' && isOf(call, at))
  // It is begun anew, by this process or another, once the lease is over.
  await vi.waitFor(() => expect(claims[at]).toBeGreaterThan(1), { timeout: 10_000 })
  await writes.drain({ signal: AbortSignal.timeout(5000) })
  expect(written).toEqual(['a'])
  expect(claims.filter((_, partition) => partition !== at)).toEqual([1, 1, 1])
  // It is not waited for longer than others have to wait for its lease.
  await writes.close()
})
