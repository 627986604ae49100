import { randomUUID } from 'node:crypto'
import { createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { ConnectOptions } from '../../../src/redis/connect-options.js'
import { type Key, keyOf, type RedisPort, slotOf, type TopologyChange } from '../../../src/redis/index.js'
import type { Connect } from './conformance.js'

const space = { namespace: 'port', pattern: 'routing', name: randomUUID() }
const freshKey = (): Key => keyOf(space, randomUUID())

/** Where reads go that may be stale, and what is known about nodes without asking them. */
export function routing(adapter: string, connect: Connect): void {
  describe(`routing over ${adapter}`, () => {
    let port: RedisPort
    beforeAll(async () => {
      port = await connect({ nodes: inject('clusterNodes') })
    })
    afterAll(() => port.close())

    it.each([
      ['primary', ['primary']],
      ['replica', ['replica']],
      ['random', ['primary', 'replica']],
    ] as const)('reads from: %s', async (readFrom, roles) => {
      const reader = await connect({ nodes: inject('clusterNodes'), readFrom })
      try {
        const key = freshKey()
        await port.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 1 })
        const answered = new Set<string>()
        const answeredBy = (node: string) => void answered.add(node)
        const stale = { key, command: ['GET', key], mayBeStale: true, answeredBy } as const
        const rest = { key, command: ['SET', key, 'v'] } as const
        // In one write with others, which must not be served by a replica on the same connection.
        const results = await reader.pipeline(
          Array.from({ length: 90 }, (_, i) => (i % 3 === 2 ? rest : stale)),
        )
        expect(results.filter(({ status }) => status === 'rejected')).toEqual([])
        const owner = reader.topology().ownerOf(slotOf(key))
        const asked = reader.topology().nodes.filter((node) => answered.has(`${node.host}:${node.port}`))
        expect(asked.map(({ role }) => role).toSorted()).toEqual(roles)
        expect(asked.every(({ id, primary }) => id === owner?.id || primary === owner?.id)).toBe(true)
      } finally {
        await reader.close()
      }
    })

    it('reads what must not be stale from the primary, whatever the setting', async () => {
      const reader = await connect({ nodes: inject('clusterNodes'), readFrom: 'replica' })
      const key = freshKey()
      const owner = port.topology().ownerOf(slotOf(key))
      const answered = new Set<string>()
      for (let i = 0; i < 20; i++) {
        await reader.call({ key, command: ['SET', key, i] })
        const get = {
          key,
          command: ['GET', key],
          answeredBy: (node: string) => void answered.add(node),
        } as const
        expect(await reader.call(get)).toBe(String(i))
      }
      expect([...answered]).toEqual([`${owner?.host}:${owner?.port}`])
      await reader.close()
    })

    it('leaves the connection to a replica as it was, so that a read which must not be stale is redirected', async () => {
      const reader = await connect({ nodes: inject('clusterNodes'), readFrom: 'replica' })
      const key = freshKey()
      await reader.call({ key, command: ['GET', key], mayBeStale: true })
      const [replica] = reader.topology().replicasOf(reader.topology().ownerOf(slotOf(key))?.id ?? '')
      await expect(reader.onNode(replica?.id ?? '', ['GET', key])).rejects.toThrow(/^MOVED/)
      await reader.close()
    })

    it('falls back to the primary when the replica cannot answer', async () => {
      const reader = await connect({ nodes: inject('clusterNodes'), readFrom: 'replica' })
      const key = freshKey()
      const [replica] = reader.topology().replicasOf(reader.topology().ownerOf(slotOf(key))?.id ?? '')
      await port.call({ key, command: ['SET', key, 'v'] })
      await port.onNode(replica?.id ?? '', ['CLIENT', 'PAUSE', 400, 'ALL'])
      const read = { key, command: ['GET', key], mayBeStale: true } as const
      await reader.call(read, { deadlineMs: 50 }).catch(() => undefined)
      // It is known to hang by now.
      const from = performance.now()
      expect(await reader.call(read)).toBe('v')
      expect(performance.now() - from).toBeLessThan(320)
      await sleep(400)
      await reader.close()
    })

    it('prefers the node that answers fastest, as measured', async () => {
      const key = freshKey()
      // A primary that is far away: its answers come late.
      const { delayed, close } = await distant(port, slotOf(key))
      const reader = await connect({
        nodes: inject('clusterNodes'),
        readFrom: 'nearest',
        topologyRefreshMs: 100,
        endpointMap: delayed,
      } satisfies ConnectOptions)
      try {
        await port.writeThenWait({ key, command: ['SET', key, 'v'] }, { replicas: 1 })
        const read = { key, command: ['GET', key], mayBeStale: true } as const
        await expect
          .poll(async () => {
            const from = performance.now()
            expect(await reader.call(read)).toBe('v')
            return performance.now() - from
          })
          .toBeLessThan(30)
      } finally {
        await reader.close()
        close()
      }
    })

    it('knows without asking whether calls to a primary are worth trying', async () => {
      const own = await connect({ nodes: inject('clusterNodes') })
      const key = freshKey()
      const owner = own.topology().ownerOf(slotOf(key))
      expect(own.breaker(key)).toEqual({ state: 'closed' })
      const changes: TopologyChange[] = []
      own.onTopology((_, more) => void changes.push(...more))
      await port.onNode(owner?.id ?? '', ['CLIENT', 'PAUSE', 300, 'ALL'])
      await own.call({ key, command: ['SET', key, 'v'] }, { deadlineMs: 30 }).catch(() => undefined)
      expect(own.breaker(key)).toMatchObject({ state: 'open', reason: 'it does not answer' })
      expect(changes).toMatchObject([{ kind: 'node-lost', node: { id: owner?.id } }])
      await expect.poll(() => own.breaker(key)).toEqual({ state: 'closed' })
      expect(changes.at(-1)).toMatchObject({ kind: 'node-back', node: { id: owner?.id } })
      await own.close()
    })
  })
}

/** The way to the owner of a slot takes 40 ms more. */
async function distant(port: RedisPort, slot: number) {
  const owner = port.topology().ownerOf(slot)
  const server = createServer((socket) => {
    const upstream = createConnection({ host: owner?.host ?? '', port: owner?.port ?? 0 })
    upstream.on('data', (chunk) => setTimeout(() => socket.write(chunk), 40))
    socket.on('data', (chunk) => upstream.write(chunk))
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const at = typeof address === 'object' && address !== null ? address.port : 0
  return {
    delayed: (endpoint: { readonly host: string; readonly port: number }) =>
      endpoint.port === owner?.port ? { host: '127.0.0.1', port: at } : endpoint,
    close: () => server.close(),
  }
}
