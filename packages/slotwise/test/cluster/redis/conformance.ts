import { createHash, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import {
  ClosedError,
  ConfigurationError,
  CrossSlotError,
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
  SlotMovingError,
} from '../../../src/errors.js'
import type { ConnectOptions } from '../../../src/redis/connect-options.js'
import {
  type ClusterNode,
  type CommandCall,
  type Key,
  keyOf,
  type RedisPort,
  type ScriptCall,
  SLOTS,
  slotOf,
} from '../../../src/redis/index.js'
import { startBareServers } from '../../support/bare-servers.js'
import { certainError } from '../../support/certain.js'
import { Tap } from './tap.js'

export type Connect = (options: ConnectOptions) => Promise<RedisPort>

const space = { namespace: 'port', pattern: 'test', name: randomUUID() }
const keyFor = (id: string | number): Key => keyOf(space, String(id))
const freshKey = (): Key => keyFor(randomUUID())

/** Keys that share a slot with the first, whatever their names. */
function keysOfOneSlot(count: number, tag: string): readonly [Key, ...Key[]] {
  const named = (index: number) => `port:${space.name}:{${tag}}${index}` as Key
  return [named(0), ...Array.from({ length: count - 1 }, (_, index) => named(index + 1))]
}

const scriptCall = (
  source: string,
  keys: readonly [Key, ...Key[]],
  args: readonly string[] = [],
): ScriptCall => ({
  script: { name: 'test', keys: [], args: [], sha1: createHash('sha1').update(source).digest('hex'), source },
  keys,
  args,
})

/** What every adapter's port must do, on the cluster that the tests share. */
export function conformance(adapter: string, connect: Connect): void {
  describe(`the port over ${adapter}`, () => {
    let port: RedisPort
    const open = (options: Partial<ConnectOptions> = {}) =>
      connect({ nodes: inject('clusterNodes'), namespace: 'port', ...options })
    /** Those of other tests too. */
    async function moveKeys(slot: number, from: ClusterNode, to: ClusterNode): Promise<void> {
      for (;;) {
        const keys = (await port.onNode(from.id, ['CLUSTER', 'GETKEYSINSLOT', slot, 100])) as string[]
        if (keys.length === 0) return
        await port.onNode(from.id, ['MIGRATE', to.host, to.port, '', 0, 1000, 'KEYS', ...keys])
      }
    }
    const get = (key: Key) => port.call({ key, command: ['GET', key], repeat: 'safe' })
    const ownerOf = (key: Key) => {
      const owner = port.topology().ownerOf(slotOf(key))
      expect.assert(owner !== undefined)
      return owner
    }
    const otherThan = (id: string) => {
      const other = port.topology().nodes.find((node) => node.role === 'primary' && node.id !== id)
      expect.assert(other !== undefined)
      return other
    }

    beforeAll(async () => {
      port = await open()
    })
    afterAll(() => port.close())

    it('answers 10,000 commands over all slots in their order, with each error at its place', async () => {
      const keys = Array.from({ length: 10_000 }, (_, index) => keyFor(index))
      const wrong = (index: number) => index % 100 === 7
      await port.pipeline(keys.map((key, index) => ({ key, command: ['SET', key, index, 'PX', 60_000] })))
      const results = await port.pipeline(
        keys.map((key, index) => ({ key, command: [wrong(index) ? 'LLEN' : 'GET', key] })),
      )
      expect(results).toHaveLength(keys.length)
      for (const [index, result] of results.entries()) {
        if (wrong(index)) {
          expect.assert(result.status === 'rejected' && result.reason instanceof ReplyError)
          expect(result.reason.replyCode).toBe('WRONGTYPE')
        } else expect(result).toEqual({ status: 'fulfilled', value: String(index) })
      }
    })

    it('writes what is called at once, over any slots, once to each node and in order', async () => {
      const taps = await Promise.all(port.topology().nodes.map((node) => Tap.open(node)))
      const tapped = await open({
        topologyRefreshMs: 60_000,
        endpointMap: (to) => taps.find((tap) => tap.node.port === to.port)?.endpoint ?? to,
      })
      try {
        const together = (calls: readonly CommandCall[]) => tapped.pipeline(calls)
        const apart = (calls: readonly CommandCall[]) => Promise.all(calls.map((call) => tapped.call(call)))
        // Of other functions that run in the same turn.
        const one = async (call: CommandCall) => await Promise.resolve().then(() => tapped.call(call))
        const afar = (calls: readonly CommandCall[]) => Promise.all(calls.map(one))
        for (const callAll of [together, apart, afar]) {
          const mark = randomUUID()
          const keys = Array.from({ length: 60 }, (_, index) => keyFor(`${mark}-${index}`))
          await callAll(keys.map((key) => ({ key, command: ['GET', key] })))
          const written = taps.map((tap) => tap.chunks.filter((chunk) => chunk.includes(mark)))
          expect(written.map(({ length }) => length).filter((length) => length > 0)).toEqual([1, 1, 1])
          for (const [chunk = ''] of written) {
            const order = Array.from(chunk.matchAll(new RegExp(`${mark}-(\\d+)`, 'g')), ([, index]) =>
              Number(index),
            )
            expect(order).toEqual(order.toSorted((a, b) => a - b))
          }
        }
      } finally {
        await tapped.close()
        for (const tap of taps) tap.close()
      }
    })

    it('runs a script on a node that has forgotten it', async () => {
      const [key] = keysOfOneSlot(1, randomUUID())
      const call = scriptCall("return redis.call('INCR', KEYS[1])", [key])
      expect(await port.call(call)).toBe(1)
      await port.onNode(ownerOf(key).id, ['SCRIPT', 'FLUSH'])
      expect(await port.call(call)).toBe(2)
    })

    it('refuses a script over several slots before anything is sent', async () => {
      const call = scriptCall('return 1', [keyFor(1), keyFor(2)])
      await expect(port.call(call)).rejects.toThrow(CrossSlotError)
    })

    it.each([{}, { dedicated: true }])(
      'does not take an error raised inside a script or a function for "not executed": %j',
      async (options) => {
        const [key] = keysOfOneSlot(1, randomUUID())
        // In the words of a server that executed nothing.
        const body = "redis.call('INCR', KEYS[1]) error({ err = 'TRYAGAIN in a moment' })"
        const patient = { ...options, deadlineMs: 300 }
        await expect(port.call(scriptCall(body, [key]), patient)).rejects.toThrow(/^TRYAGAIN in a moment/)
        expect(await get(key)).toBe('1')
        const library = `#!lua name=conformance\nredis.register_function('raises', function(KEYS) ${body} end)`
        const { id } = ownerOf(key)
        await port.onNode(id, ['FUNCTION', 'LOAD', 'REPLACE', library])
        try {
          const call = { key, command: ['FCALL', 'raises', 1, key] } as const
          await expect(port.call(call, patient)).rejects.toThrow(/^TRYAGAIN in a moment/)
          expect(await get(key)).toBe('2')
        } finally {
          await port.onNode(id, ['FUNCTION', 'DELETE', 'conformance'])
        }
      },
    )

    it('goes on with single keys of a half-moved slot, and says so where several keys are needed', async () => {
      const keys = keysOfOneSlot(3, randomUUID())
      const [stays, moves, absent] = keys
      expect.assert(moves !== undefined && absent !== undefined)
      const slot = slotOf(stays)
      const source = ownerOf(stays)
      const target = otherThan(source.id)
      for (const key of [stays, moves]) await port.call({ key, command: ['SET', key, 'v'] })
      await port.onNode(target.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id])
      await port.onNode(source.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id])
      await port.onNode(source.id, ['MIGRATE', target.host, target.port, moves, 0, 1000])
      try {
        await port.onNode(target.id, ['SCRIPT', 'FLUSH'])
        expect(await Promise.all([get(stays), get(moves), get(absent)])).toEqual(['v', 'v', null])
        // ASKING covers one command: the text that follows an unknown hash needs its own.
        const append = "return redis.call('APPEND', KEYS[1], ARGV[1])"
        for (const key of keys) expect(await port.call(scriptCall(append, [key], ['x']))).toBeGreaterThan(0)
        const both = scriptCall("return redis.call('MGET', unpack(KEYS))", [stays, moves])
        let tookMs = 0
        const error = await certainError(async () => {
          const from = performance.now()
          await port.call(both, { deadlineMs: 200 }).finally(() => (tookMs = performance.now() - from))
        })
        expect(error).toBeInstanceOf(SlotMovingError)
        expect(error).toMatchObject({ slot })
        expect(tookMs).toBeLessThan(700)
        // The same on connections of their own, where nothing is done for whoever borrows one.
        const own = { dedicated: true, deadlineMs: 200 }
        expect(await certainError(() => port.call(both, own))).toBeInstanceOf(SlotMovingError)
        const borrowing = () => port.borrow({ key: moves }, (connection) => connection.call(['GET', moves]))
        expect(await certainError(borrowing)).toBeInstanceOf(SlotMovingError)
        // By the way that the map says.
        const tap = await Tap.open(target)
        const mapped = await open({
          endpointMap: (to) => (to.port === target.port ? tap.endpoint : to),
        })
        try {
          for (const dedicated of [false, true]) {
            tap.chunks.length = 0
            const read = { key: moves, command: ['GET', moves] } as const
            expect(await mapped.call(read, { dedicated })).toBe('vx')
            expect(tap.chunks.filter((chunk) => /ASKING[^]*GET/i.test(chunk))).toHaveLength(1)
          }
        } finally {
          await mapped.close()
          tap.close()
        }
      } finally {
        await moveKeys(slot, source, target)
        for (const { id } of [target, source])
          await port.onNode(id, ['CLUSTER', 'SETSLOT', slot, 'NODE', target.id])
      }
      const whole = scriptCall("return redis.call('MGET', unpack(KEYS))", keys)
      expect(await port.call({ ...whole, repeat: 'safe' })).toEqual(['vx', 'vx', 'x'])
    })

    it('lets no caller notice that slots move while it calls', async () => {
      const [key] = keysOfOneSlot(1, randomUUID())
      const slot = slotOf(key)
      let [from, to] = [ownerOf(key), otherThan(ownerOf(key).id)]
      let going = true
      let calls = 0
      const traffic = Promise.all(
        Array.from({ length: 8 }, async () => {
          while (going) {
            await port.call({ key, command: ['INCR', key] })
            calls++
          }
        }),
      )
      for (let move = 0; move < 6; move++) {
        await port.onNode(to.id, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id])
        await port.onNode(from.id, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id])
        await moveKeys(slot, from, to)
        for (const node of [to, from]) await port.onNode(node.id, ['CLUSTER', 'SETSLOT', slot, 'NODE', to.id])
        ;[from, to] = [to, from]
        await sleep(20)
      }
      going = false
      await traffic
      expect(await get(key)).toBe(String(calls))
    })

    it('tells callers at once when the connection breaks that their calls are on', async () => {
      const victim = await open({ clientName: `victim-${randomUUID()}` })
      try {
        const key = freshKey()
        const node = ownerOf(key).id
        const id = await victim.onNode(node, ['CLIENT', 'ID'])
        const from = performance.now()
        // Writes wait for the end of the pause, and others may still do what is no write.
        await port.onNode(node, ['CLIENT', 'PAUSE', 3000, 'WRITE'])
        const calls = Array.from({ length: 20 }, () =>
          victim.call({ key, command: ['INCR', key] }, { deadlineMs: 20_000 }),
        )
        const outcomes = Promise.allSettled(calls)
        await expect.poll(() => port.onNode(node, ['CLIENT', 'LIST', 'ID', Number(id)])).toMatch(/flags=b/)
        await port.onNode(node, ['CLIENT', 'KILL', 'ID', Number(id)])
        await port.onNode(node, ['CLIENT', 'UNPAUSE'])
        const errors = (await outcomes).map((one) => one.status === 'rejected' && (one.reason as unknown))
        expect(errors.every((error) => error instanceof OutcomeUnknownError)).toBe(true)
        // Less than any deadline.
        expect(performance.now() - from).toBeLessThan(2000)
      } finally {
        await victim.close()
      }
    })

    it('keeps to the deadline of a call, and says what is known about it', async () => {
      const impatient = await open()
      try {
        const key = freshKey()
        const { id } = ownerOf(key)
        await port.onNode(id, ['CLIENT', 'PAUSE', 400, 'ALL'])
        const ended = async (deadlineMs: number, repeat: 'safe' | 'unsafe') => {
          const from = performance.now()
          const command = ['INCR', key] as const
          const error: unknown = await impatient
            .call({ key, command, repeat }, { deadlineMs })
            .catch((thrown: unknown) => thrown)
          return { error, took: performance.now() - from }
        }
        const sent = await ended(50, 'unsafe')
        expect(sent.error).toBeInstanceOf(OutcomeUnknownError)
        expect(sent.took).toBeGreaterThan(45)
        expect(sent.took).toBeLessThan(380)
        // It is known to hang by now, so nothing more is risked on it.
        expect((await ended(50, 'unsafe')).error).toBeInstanceOf(RedisUnavailableError)
        expect((await ended(5000, 'unsafe')).error).toBe(2)
      } finally {
        await impatient.close()
      }
    })

    it('keeps the deadline of each call that is written together with others', async () => {
      const patient = await open()
      try {
        const key = freshKey()
        await port.onNode(ownerOf(key).id, ['CLIENT', 'PAUSE', 400, 'ALL'])
        const from = performance.now()
        const incremented = (deadlineMs: number) =>
          patient.call({ key, command: ['INCR', key] }, { deadlineMs }).then(
            (value) => ({ value, tookMs: performance.now() - from }),
            (error: unknown) => ({ error, tookMs: performance.now() - from }),
          )
        const [soon, late, wrong] = await Promise.all([
          incremented(50),
          incremented(5000),
          patient
            .call({ key, command: ['LLEN', key] }, { deadlineMs: 5000 })
            .catch((error: unknown) => error),
        ])
        expect(soon).toMatchObject({ error: expect.any(OutcomeUnknownError) as unknown })
        expect(soon.tookMs).toBeLessThan(380)
        expect(late).toMatchObject({ value: 2 })
        expect(wrong).toMatchObject({ replyCode: 'WRONGTYPE' })
      } finally {
        await patient.close()
      }
    })

    it('takes an answer that came in time, however late this process comes to read it', async () => {
      const key = freshKey()
      await port.call({ key, command: ['SET', key, 'v'] })
      const call = port.call({ key, command: ['GET', key] }, { deadlineMs: 20 })
      // So many turns of the event loop it takes the client library to write it.
      const turns = adapter === 'ioredis' ? 1 : 2
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      // The whole process stands still, as in a long calculation, while the answer arrives.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
      expect(await call).toBe('v')
    })

    it('rejects with the reason of a signal, before the call and during it', async () => {
      const key = freshKey()
      const reason = new Error('enough')
      const call = { key, command: ['GET', key] } as const
      await expect(port.call(call, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      await port.onNode(ownerOf(key).id, ['CLIENT', 'PAUSE', 100, 'ALL'])
      const controller = new AbortController()
      const running = port.call(call, { signal: controller.signal })
      setTimeout(() => controller.abort(reason), 10)
      await expect(running).rejects.toBe(reason)
    })

    it('logs in where a password is asked for, before anything else', async () => {
      await using server = await startBareServers(1, { 'cluster-enabled': 'no' })
      await server.clients[0]?.call(['CONFIG', 'SET', 'requirepass', 'secret'])
      await using guarded = await connect({ nodes: server.nodes, password: 'secret' })
      const key = freshKey()
      expect(await guarded.call({ key, command: ['SET', key, 'v'] })).toBe('OK')
    })

    it('asks one node, or every primary, what only they know', async () => {
      const answers = await port.onEachPrimary(['CLUSTER', 'MYID'])
      expect(answers).toHaveLength(3)
      for (const { node, result } of answers) expect(result).toEqual({ status: 'fulfilled', value: node.id })
    })

    it('says what names no node, at once, and which node is none of this cluster', async () => {
      for (const name of ['', 'nonsense', '127.0.0.1', '127.0.0.1:99999']) {
        await expect(port.onNode(name, ['PING'])).rejects.toThrow(ConfigurationError)
        await expect(port.borrow({ node: name }, async () => {})).rejects.toThrow(ConfigurationError)
      }
      const stranger = '0'.repeat(40)
      const error: unknown = await port.onNode(stranger, ['PING']).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(RedisUnavailableError)
      expect(error).toMatchObject({ node: stranger })
    })

    it('knows an owner for every slot, and every replica', () => {
      const { nodes } = port.topology()
      for (let slot = 0; slot < SLOTS; slot++)
        expect.assert(port.topology().ownerOf(slot)?.role === 'primary')
      expect(nodes.filter(({ role }) => role === 'replica')).toHaveLength(3)
    })

    it('finishes what is under way when it is closed, and takes nothing more', async () => {
      const closing = await open()
      const key = freshKey()
      const running = closing.call({ key, command: ['SET', key, 'done'] })
      const closed = closing.close()
      expect(closing.close()).toBe(closed)
      await expect(closing.call({ key, command: ['GET', key] })).rejects.toThrow(ClosedError)
      expect(await running).toBe('OK')
      await closed
    })
  })
}
