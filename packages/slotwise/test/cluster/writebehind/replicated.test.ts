import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { RedisPort } from '../../../src/redis/index.js'
import { WriteBehind } from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { nameOf } from '../cache/watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

it('nothing is written that a failover could take back, once replicas are asked for', async () => {
  let replicas = 0
  let asked = 0
  const through = portWith(port, {
    writeThenWait: (async (call, options) => {
      const answer = await port.writeThenWait(call, options)
      if (nameOf(call) === 'take') asked++
      return { ...answer, acknowledgedBy: replicas }
    }) satisfies RedisPort['writeThenWait'],
  })
  const written: unknown[] = []
  await using writes = new WriteBehind<number>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 1,
    flushIntervalMs: 10,
    leaseMs: 1000,
    durability: { replicas: 1 },
    writeBatch: (rows) => Promise.resolve(void written.push(...rows.map(({ id }) => id))),
  })
  expect(await writes.write('a', 1)).toEqual({ accepted: true, durability: 'memory' })
  writes.start()
  await vi.waitFor(() => expect(asked).toBeGreaterThan(1), { timeout: 10_000 })
  expect(written).toEqual([])
  replicas = 1
  await writes.drain()
  expect(written).toEqual(['a'])
})

it('what waits is read once, however much it is, and nobody waits for replicas where nothing does', async () => {
  const looked: number[] = []
  const read: number[] = []
  let waits = 0
  const through = portWith(port, {
    call: (async (call, options) => {
      if (nameOf(call) === 'take' && 'args' in call) looked.push(Number(call.args[4]))
      return await port.call(call, options)
    }) satisfies RedisPort['call'],
    writeThenWait: (async (call, options) => {
      const answer = { ...(await port.writeThenWait(call, options)), acknowledgedBy: 1 }
      if (nameOf(call) === 'take') {
        waits++
        // An id and a row, in turns.
        read.push(((answer.reply as readonly unknown[]).length - 11) / 2)
      }
      return answer
    }) satisfies RedisPort['writeThenWait'],
  })
  const written: unknown[] = []
  await using writes = new WriteBehind<number>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 1,
    flushIntervalMs: 10,
    batchSize: 10,
    durability: { replicas: 1 },
    writeBatch: (rows) => Promise.resolve(void written.push(...rows.map(({ id }) => id))),
  })
  for (let n = 0; n < 50; n++) await writes.write(`${n}`, n)
  writes.start()
  await writes.drain()
  await vi.waitFor(() => expect(looked.length).toBeGreaterThan(5))
  expect(written).toHaveLength(50)
  expect(read).toEqual([10, 10, 10, 10, 10])
  expect(waits).toBe(5)
  expect(new Set(looked)).toEqual(new Set([1]))
})

it('a letter is in the replicas as well before its row is passed over', async () => {
  const asked: string[] = []
  const through = portWith(port, {
    writeThenWait: (async (call, options) => {
      asked.push(nameOf(call))
      return { ...(await port.writeThenWait(call, options)), acknowledgedBy: 1 }
    }) satisfies RedisPort['writeThenWait'],
  })
  await using writes = new WriteBehind<number>(through, {
    name: randomUUID().slice(0, 8),
    partitions: 1,
    flushIntervalMs: 10,
    durability: { replicas: 1 },
    writeBatch: {
      claim: async () => undefined,
      write: (rows) => (rows.length > 0 ? Promise.reject(new Error('does not fit')) : Promise.resolve()),
      isAboutRow: () => true,
    },
  })
  await writes.write('a', 1)
  writes.start()
  await writes.drain()
  expect(await writes.deadLetters()).toMatchObject([{ id: 'a', error: 'does not fit' }])
  expect(asked).toEqual(['accept', 'take', 'bury'])
})
