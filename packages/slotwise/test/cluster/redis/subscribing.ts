import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import type { Connect } from './conformance.js'

const space = { namespace: 'port', pattern: 'channels', name: randomUUID() }
const freshChannel = (): Key => keyOf(space, randomUUID())

/** Remembers what a listener hears, in its order. */
function recorder() {
  const heard: string[] = []
  return {
    heard,
    listener: {
      message: (payload: Buffer) => void heard.push(payload.toString()),
      interrupted: () => void heard.push('(interrupted)'),
      resumed: () => void heard.push('(live)'),
    },
  }
}

/** Sharded channels are heard wherever their slots go, and nobody is left believing that he hears when he does not. */
export function subscribing(adapter: string, connect: Connect): void {
  describe(`sharded subscriptions over ${adapter}`, () => {
    const clientName = `channels-${randomUUID()}`
    let port: RedisPort
    beforeAll(async () => {
      port = await connect({ nodes: inject('clusterNodes'), clientName })
    })
    afterAll(() => port.close())

    const send = (channel: Key, payload: string) =>
      port.call({ key: channel, command: ['SPUBLISH', channel, payload] })
    const ownerOf = (channel: Key) => {
      const owner = port.topology().ownerOf(slotOf(channel))
      expect.assert(owner !== undefined)
      return owner
    }
    const subscribers = async (node: string) => {
      const list = String(await port.onNode(node, ['CLIENT', 'LIST', 'TYPE', 'pubsub']))
      return list.split('\n').filter((line) => line.includes(`name=${clientName} `))
    }

    it('are live when they are promised, and hear everything in order', async () => {
      const { heard, listener } = recorder()
      const channel = freshChannel()
      const subscription = await port.subscribe(channel, listener)
      expect(subscription.isLive).toBe(true)
      for (let i = 0; i < 100; i++) await send(channel, String(i))
      await expect.poll(() => heard).toEqual(['(live)', ...Array.from({ length: 100 }, (_, i) => String(i))])
      await subscription.close()
      await subscription.close()
      expect(subscription.isLive).toBe(false)
    })

    it('share one connection a node, however many there are, and end one by one', async () => {
      const records = Array.from({ length: 60 }, () => ({ ...recorder(), channel: freshChannel() }))
      const subscriptions = await Promise.all(
        records.map(({ channel, listener }) => port.subscribe(channel, listener)),
      )
      const twice = recorder()
      const [first] = records
      expect.assert(first !== undefined)
      const second = await port.subscribe(first.channel, twice.listener)
      for (const { id, role } of port.topology().nodes) {
        if (role === 'primary') expect(await subscribers(id)).toHaveLength(1)
      }
      await Promise.all(records.map(({ channel }) => send(channel, 'x')))
      for (const { heard } of records) await expect.poll(() => heard).toContain('x')
      await second.close()
      await send(first.channel, 'y')
      await expect.poll(() => first.heard).toContain('y')
      expect(twice.heard).toEqual(['(live)', 'x'])
      await Promise.all(subscriptions.map((subscription) => subscription.close()))
      await expect.poll(() => send(first.channel, 'z')).toBe(0)
    })

    it('say that they were interrupted when their connection breaks, and hear again by themselves', async () => {
      const { heard, listener } = recorder()
      const channel = freshChannel()
      await using _ = await port.subscribe(channel, listener)
      const { id } = ownerOf(channel)
      const [line = ''] = await subscribers(id)
      await port.onNode(id, ['CLIENT', 'KILL', 'ID', Number(/id=(\d+)/.exec(line)?.[1])])
      await expect.poll(() => heard).toEqual(['(live)', '(interrupted)', '(live)'])
      await send(channel, 'after')
      await expect.poll(() => heard.at(-1)).toBe('after')
    })

    it('follow their slot when it moves, which the server tells only once', async () => {
      const { heard, listener } = recorder()
      let channel = freshChannel()
      // Other tests have left keys in many slots, and a slot with keys is not given away by a word.
      while (
        (await port.onNode(ownerOf(channel).id, ['CLUSTER', 'COUNTKEYSINSLOT', slotOf(channel)])) !== 0
      ) {
        channel = freshChannel()
      }
      await using _ = await port.subscribe(channel, listener)
      const slot = slotOf(channel)
      const from = ownerOf(channel)
      const to = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== from.id)
      expect.assert(to !== undefined)
      for (const [source, target] of [
        [from, to],
        [to, from],
      ] as const) {
        heard.length = 0
        await port.onNode(target.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id])
        await port.onNode(source.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id])
        for (const { id } of [target, source])
          await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', target.id])
        await expect.poll(() => heard).toEqual(['(interrupted)', '(live)'])
        await send(channel, `at ${target.port}`)
        await expect.poll(() => heard.at(-1)).toBe(`at ${target.port}`)
      }
    })

    it('give up at the deadline or when told to, and leave nothing behind', async () => {
      const channel = freshChannel()
      await expect(
        port.subscribe(channel, recorder().listener, { signal: AbortSignal.abort(new Error('no')) }),
      ).rejects.toThrow('no')
      const { id } = ownerOf(channel)
      await port.onNode(id, ['CLIENT', 'PAUSE', 300, 'ALL'])
      await expect(port.subscribe(channel, recorder().listener, { deadlineMs: 30 })).rejects.toThrow(
        /subscribed within/,
      )
      await expect.poll(() => port.onNode(id, ['PUBSUB', 'SHARDNUMSUB', channel])).toEqual([channel, 0])
    })

    it('hear a listener throw without ending anything', async () => {
      const errors: Error[] = []
      const own = await connect({ nodes: inject('clusterNodes'), onError: (error) => errors.push(error) })
      const channel = freshChannel()
      const { heard, listener } = recorder()
      const failure = new Error('in the listener')
      await own.subscribe(channel, {
        message: () => {
          throw failure
        },
      })
      await own.subscribe(channel, listener)
      await send(channel, 'x')
      await expect.poll(() => heard).toEqual(['(live)', 'x'])
      expect(errors).toEqual([failure])
      await own.close()
    })
  })
}
