import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Key, keyOf, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { mergeViews, readClusterNodes } from '../../../src/redis/topology.js'
import type { Events } from '../../../src/telemetry.js'
import { heardOn } from '../../support/events.js'
import type { Connect } from './conformance.js'

const space = { namespace: 'port', pattern: 'events', name: randomUUID() }
const freshKey = (): Key => keyOf(space, randomUUID())

type Call = Events['slotwise:redis:call']

/** What is told of calls, of connections that are lent, and of what a port holds. */
export function events(adapter: string, connect: Connect): void {
  describe(`events over ${adapter}`, () => {
    let port: RedisPort
    beforeAll(async () => {
      port = await connect({
        nodes: inject('clusterNodes'),
        // Learns of a move by being redirected, not by looking.
        topologyRefreshMs: 60_000,
        connectionsPerNode: { min: 0, max: 1 },
        poolTimeoutMs: 1000,
      })
    })
    afterAll(() => port.close())

    const ownerOf = (key: Key) => {
      const owner = port.topology().ownerOf(slotOf(key))
      expect.assert(owner !== undefined)
      return owner
    }
    const nodeOf = (key: Key) => `${ownerOf(key).host}:${ownerOf(key).port}`

    it('tell how each call ended, where, and what it was, and never with what', async () => {
      const key = freshKey()
      const heard = heardOn('slotwise:redis:call')
      await port.call({ key, command: ['set', key, 'secret'] })
      await port.call({ key, command: ['LPUSH', key, 'secret'] }).catch(() => undefined)
      const source = "return redis.call('GET', KEYS[1])"
      const script = { name: 'tests/read', keys: ['key'], args: [], sha1: '0'.repeat(40), source }
      await port.call({ script, keys: [key], args: [] })
      const reason = new Error('enough')
      await port
        .call({ key, command: ['GET', key] }, { signal: AbortSignal.abort(reason) })
        .catch(() => undefined)
      expect(heard).toMatchObject([
        {
          operation: 'SET',
          outcome: 'OK',
          script: undefined,
          attempts: 1,
          retries: {},
          connection: 'shared',
        },
        { operation: 'LPUSH', outcome: 'REPLY', replyCode: 'WRONGTYPE' },
        // By its hash first, then by its text.
        { operation: 'EVALSHA', script: 'tests/read', outcome: 'OK', attempts: 2, retries: {} },
        { operation: 'GET', outcome: 'ABORTED', attempts: 0, node: undefined },
      ])
      expect(heard.slice(0, 3).every(({ node }) => node === nodeOf(key))).toBe(true)
      expect(heard.every(({ durationMs }) => durationMs >= 0 && durationMs < 5000)).toBe(true)
      expect(JSON.stringify(heard)).not.toMatch(new RegExp(`secret|${space.name}`))
    })

    it('leave out what the port asks for itself', async () => {
      const heard = heardOn('slotwise:redis:call')
      // It asks who owns what, whether each primary answers, and for the node timeout.
      const own = await connect({ nodes: inject('clusterNodes') })
      await own.close()
      expect(heard).toEqual([])
    })

    it('join the beginning of a call to its end, and begin in the turn of its caller', async () => {
      const key = freshKey()
      const began = heardOn('slotwise:redis:start')
      const ended = heardOn('slotwise:redis:call')
      const answer = port.call({ key, command: ['GET', key] })
      expect(began).toMatchObject([{ operation: 'GET', script: undefined }])
      await answer
      expect(ended[0]?.id).toBe(began[0]?.id)
      await port.call({ key, command: ['GET', key] }, { dedicated: true })
      expect(began).toHaveLength(2)
      expect(ended[1]).toMatchObject({ id: began[1]?.id, connection: 'dedicated', node: nodeOf(key) })
      expect(ended[1]?.id).not.toBe(ended[0]?.id)
    })

    it('count what kept a call: a slot that has moved', async () => {
      let key = freshKey()
      while ((await port.onNode(ownerOf(key).id, ['CLUSTER', 'COUNTKEYSINSLOT', slotOf(key)])) !== 0) {
        key = freshKey()
      }
      const slot = slotOf(key)
      const from = ownerOf(key)
      const to = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== from.id)
      expect.assert(to !== undefined)
      const move = async (source: string, target: string) => {
        await port.onNode(target, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source])
        await port.onNode(source, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target])
        for (const id of [target, source]) await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', target])
      }
      // A move back before all have heard of the first may get the same epoch, and is then taken back by those who have not.
      const believed = async () => {
        const answers = await port.onEachPrimary(['CLUSTER', 'NODES'])
        return answers.map(({ result }) => {
          const list = result.status === 'fulfilled' ? String(result.value) : ''
          return mergeViews([readClusterNodes(list, from.host)]).owners[slot]?.id
        })
      }
      const byAll = (id: string) => expect.poll(believed, { timeout: 10_000 }).toEqual([id, id, id])
      await move(from.id, to.id)
      const calls = heardOn('slotwise:redis:call')
      const changes = heardOn('slotwise:redis')
      await port.call({ key, command: ['EXISTS', key] })
      expect(calls).toMatchObject([
        { operation: 'EXISTS', outcome: 'OK', attempts: 2, retries: { moved: 1 } },
      ])
      // Others may be moving slots of this cluster, too.
      const [source, target] = [from, to].map(({ host, port: its }) => `${host}:${its}`)
      const expected = [
        { kind: 'retry', why: 'moved', node: source },
        { kind: 'topology' },
        { kind: 'slots-moved', slots: 1, from: source, to: target },
      ].map((one): unknown => expect.objectContaining(one))
      expect(changes).toEqual(expect.arrayContaining(expected))
      await byAll(to.id)
      await move(to.id, from.id)
      await byAll(from.id)
      await port.call({ key, command: ['EXISTS', key] })
    })

    it('tell of callers who waited for a connection of their own, and of those who waited in vain', async () => {
      const key = freshKey()
      const heard = heardOn('slotwise:redis:pool')
      const calls = heardOn('slotwise:redis:call')
      await port.borrow({ key }, async (connection) => {
        await connection.pipeline([
          ['SET', key, 'secret'],
          ['LPUSH', key, 'secret'],
        ])
        expect(port.stats?.().nodes.find(({ node }) => node === nodeOf(key))?.pool).toEqual({
          inUse: 1,
          idle: 0,
          waiting: 0,
        })
        const late = port.call({ key, command: ['GET', key] }, { dedicated: true, deadlineMs: 50 })
        expect(port.stats?.().nodes.find(({ node }) => node === nodeOf(key))?.pool.waiting).toBe(1)
        await expect(late).rejects.toThrow(/connections .* were taken/)
      })
      // What is left of its time may be enough to ask once more.
      const [first, ...others] = heard
      expect(first).toMatchObject({ kind: 'borrowed', node: nodeOf(key) })
      expect(new Set(others.map(({ kind, node }) => `${kind} ${node}`))).toEqual(
        new Set([`exhausted ${nodeOf(key)}`]),
      )
      expect(others[0]?.waitedMs).toBeGreaterThan(40)
      expect(calls).toMatchObject([
        { operation: 'SET', outcome: 'OK', connection: 'borrowed', id: undefined },
        { operation: 'LPUSH', outcome: 'REPLY', replyCode: 'WRONGTYPE', connection: 'borrowed' },
        { operation: 'GET', outcome: 'REDIS_UNAVAILABLE', connection: 'dedicated', attempts: 0 },
      ] satisfies Partial<Call>[])
      expect(JSON.stringify(calls)).not.toContain('secret')
      await expect
        .poll(() => port.stats?.().nodes.find(({ node }) => node === nodeOf(key))?.pool)
        .toEqual({ inUse: 0, idle: 1, waiting: 0 })
    })

    it('have a counterpart in what the port holds: calls, slots, nodes, channels', async () => {
      const key = freshKey()
      const before = port.stats?.()
      expect(before).toMatchObject({ calls: 0, slotsUnserved: 0, subscriptions: { live: 0, interrupted: 0 } })
      expect(before?.nodes.map(({ role, isUp }) => `${role} ${isUp}`).toSorted()).toEqual([
        ...Array.from({ length: 3 }, () => 'primary true'),
        ...Array.from({ length: 3 }, () => 'replica true'),
      ])
      const answer = port.call({ key, command: ['GET', key] })
      expect(port.stats?.().calls).toBe(1)
      await answer
      expect(port.stats?.().calls).toBe(0)
      const subscription = await port.subscribe(key, { message: () => {} })
      expect(port.stats?.().subscriptions).toEqual({ live: 1, interrupted: 0 })
      await subscription.close()
      expect(port.stats?.().subscriptions).toEqual({ live: 0, interrupted: 0 })
    })
  })
}
