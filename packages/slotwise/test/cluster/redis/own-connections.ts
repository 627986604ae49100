import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { ConfigurationError, OutcomeUnknownError, RedisUnavailableError } from '../../../src/errors.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import type { Connect } from './conformance.js'

const space = { namespace: 'port', pattern: 'own', name: randomUUID() }
const freshKey = (): Key => keyOf(space, randomUUID())

/** What must not share a connection has one of its own, and gives it back as it was. */
export function ownConnections(adapter: string, connect: Connect): void {
  describe(`connections of their own over ${adapter}`, () => {
    const clientName = `own-${randomUUID()}`
    let port: RedisPort
    beforeAll(async () => {
      port = await connect({
        nodes: inject('clusterNodes'),
        clientName,
        connectionsPerNode: { min: 0, max: 2 },
        poolTimeoutMs: 200,
      })
    })
    afterAll(() => port.close())

    const ownerOf = (key: Key) => {
      const owner = port.topology().ownerOf(slotOf(key))
      expect.assert(owner !== undefined)
      return owner.id
    }
    const connectionsTo = async (node: string) => {
      const list = await port.onNode(node, ['CLIENT', 'LIST'])
      return String(list)
        .split('\n')
        .filter((line) => line.includes(`name=${clientName} `)).length
    }

    it('let a blocking command wait without holding up anybody else', async () => {
      const key = freshKey()
      const other = `${key}other` as Key
      const waiting = port.call({ key, command: ['BLPOP', key, 5] }, { deadlineMs: 6000 })
      for (let i = 0; i < 50; i++) await port.call({ key, command: ['SET', other, i] }, { deadlineMs: 1000 })
      await port.call({ key, command: ['RPUSH', key, 'v'] })
      expect(await waiting).toEqual([key, 'v'])
    })

    it('are closed when their caller gives up, so that nothing is popped for nobody', async () => {
      const key = freshKey()
      const controller = new AbortController()
      const reason = new Error('enough')
      const aborted = port.call(
        { key, command: ['BLPOP', key, 5] },
        { deadlineMs: 6000, signal: controller.signal },
      )
      const late = port.call({ key, command: ['BLPOP', key, 5] }, { deadlineMs: 100 })
      await expect(late).rejects.toThrow(OutcomeUnknownError)
      controller.abort(reason)
      await expect(aborted).rejects.toBe(reason)
      await expect
        .poll(async () => String(await port.onNode(ownerOf(key), ['CLIENT', 'LIST'])).match(/flags=b /g))
        .toBeNull()
      await port.call({ key, command: ['RPUSH', key, 'kept'] })
      expect(await port.call({ key, command: ['LRANGE', key, 0, -1] })).toEqual(['kept'])
    })

    it('run a transaction that others cannot get into', async () => {
      const key = freshKey()
      const replies = await port.borrow({ key }, async (connection) => {
        await connection.call(['WATCH', key])
        const [, ...rest] = await connection.pipeline([['MULTI'], ['INCR', key], ['INCR', key], ['EXEC']])
        return rest
      })
      expect(replies.at(-1)).toEqual({ status: 'fulfilled', value: [1, 2] })
      const lost = await port.borrow({ key }, async (connection) => {
        await connection.call(['WATCH', key])
        await port.call({ key, command: ['INCR', key] })
        await connection.pipeline([['MULTI'], ['INCR', key]])
        return await connection.call(['EXEC'])
      })
      expect(lost).toBeNull()
    })

    it('come back clean, whatever their borrower left behind', async () => {
      const key = freshKey()
      let left: unknown
      await port.borrow({ key }, async (connection) => {
        left = await connection.call(['CLIENT', 'ID'])
        await connection.pipeline([['WATCH', key], ['MULTI'], ['INCR', key]])
      })
      await port.call({ key, command: ['SET', key, '1'] })
      // The very connection, once it has been cleaned; there are two at most.
      const stateOf = () =>
        port.borrow({ key }, async (connection) => [
          await connection.call(['CLIENT', 'ID']),
          await connection.call(['GET', key]),
        ])
      await expect.poll(() => Promise.all([stateOf(), stateOf()])).toContainEqual([left, '1'])
    })

    it('number `max` to a node; one more waits its turn, and `poolTimeoutMs` at most', async () => {
      const key = freshKey()
      const before = await connectionsTo(ownerOf(key))
      let running = 0
      let most = 0
      await Promise.all(
        Array.from({ length: 10 }, () =>
          port.borrow({ key, deadlineMs: 5000 }, async (connection) => {
            most = Math.max(most, ++running)
            await connection.call(['PING'])
            running--
          }),
        ),
      )
      expect(most).toBe(2)
      expect(await connectionsTo(ownerOf(key))).toBeLessThanOrEqual(before + 2)
      let release = () => {}
      const held = new Promise<void>((resolve) => (release = resolve))
      const holders = [0, 1].map(() => port.borrow({ key }, () => held))
      const from = performance.now()
      const error: unknown = await port.borrow({ key }, async () => {}).catch((thrown: unknown) => thrown)
      expect.assert(error instanceof RedisUnavailableError)
      expect(performance.now() - from).toBeGreaterThan(190)
      expect(error.message).toMatch(/taken/)
      release()
      await Promise.all(holders)
    })

    it('close when nobody has used them for long, down to `min`, which is kept ready', async () => {
      const name = `idle-${randomUUID()}`
      const idle = await connect({
        nodes: inject('clusterNodes'),
        clientName: name,
        connectionsPerNode: { min: 1, max: 5 },
        idleTimeoutMs: 50,
        idleCheckMs: 20,
      })
      try {
        const key = freshKey()
        const count = async () =>
          String(await port.onNode(ownerOf(key), ['CLIENT', 'LIST'])).match(new RegExp(`name=${name} `, 'g'))
            ?.length
        // The shared one and the one kept ready.
        await expect.poll(count).toBe(2)
        await Promise.all([1, 2, 3, 4].map(() => idle.borrow({ key }, (own) => own.call(['PING']))))
        await expect.poll(count).toBe(2)
      } finally {
        await idle.close()
      }
    })

    it('tell their borrower what the server sends unasked, and that they have ended', async () => {
      const key = freshKey()
      const pushes: unknown[] = []
      const onPush = (message: unknown) => void pushes.push(message)
      await port.borrow({ key, onPush }, async (connection) => {
        await connection.call(['CLIENT', 'TRACKING', 'ON'])
        await connection.call(['GET', key])
        await port.call({ key, command: ['SET', key, 1] })
        await expect.poll(() => pushes).toEqual([['invalidate', [key]]])
        const id = Number(await connection.call(['CLIENT', 'ID']))
        await port.onNode(ownerOf(key), ['CLIENT', 'KILL', 'ID', id])
        await expect.poll(() => connection.signal.aborted).toBe(true)
        await expect(connection.call(['PING'])).rejects.toThrow(OutcomeUnknownError)
      })
    })

    it('wait for the replicas of their own write, and of no other', async () => {
      const key = freshKey()
      const write = { key, command: ['SET', key, 'v'] } as const
      const enough = await port.writeThenWait(write, { replicas: 1 })
      expect(enough).toEqual({ reply: 'OK', acknowledgedBy: 1, fsynced: false })
      const short = await port.writeThenWait(
        { key, command: ['INCR', `${key}n` as Key] },
        { replicas: 2, waitMs: 30 },
      )
      expect(short).toEqual({ reply: 1, acknowledgedBy: 1, fsynced: false })
      await expect(port.writeThenWait(write, {})).rejects.toThrow(/replicas/)
    })

    it('claim no disk of a server that keeps no log of what it writes', async () => {
      const key = freshKey()
      const write = { key, command: ['SET', key, 'v'] } as const
      expect(await port.writeThenWait(write, { fsync: true })).toEqual({
        reply: 'OK',
        acknowledgedBy: 0,
        fsynced: false,
      })
      expect(await port.writeThenWait(write, { fsync: true, replicas: 1 })).toMatchObject({
        acknowledgedBy: 1,
        fsynced: false,
      })
    })

    it.for([
      ['MULTI', ['MULTI']],
      ['SUBSCRIBE', ['subscribe', 'x']],
      ['CLIENT REPLY', ['CLIENT', 'reply', 'OFF']],
      ['WAIT', ['WAIT', 1, 0]],
      ['RESET', ['RESET']],
    ] as const)(
      'are what %s needs: on the shared one it is refused before it is sent',
      async ([name, command]) => {
        const key = freshKey()
        const error: unknown = await port.call({ key, command }).catch((thrown: unknown) => thrown)
        expect.assert(error instanceof ConfigurationError)
        expect(error.message).toContain(name)
        await expect(port.onNode(ownerOf(key), command)).rejects.toThrow(ConfigurationError)
      },
    )
  })
}
