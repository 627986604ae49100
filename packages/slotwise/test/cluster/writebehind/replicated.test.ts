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
