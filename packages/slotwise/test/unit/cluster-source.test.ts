import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ClusterSource } from '../../src/redis/cluster-source.js'
import type { ClusterNode } from '../../src/redis/index.js'

const nodes = Array.from(
  { length: 30 },
  (_, index): ClusterNode => ({ id: `n${index}`, host: 'h', port: index + 1, role: 'primary', epoch: index }),
)
const view = nodes.map(({ id, port }) => `${id} h:${port}@0 master - 0 0 1 connected`).join('\n')

function sourceOf(isCertain: (address: string) => boolean, awaited?: Promise<unknown>) {
  const asked: string[] = []
  const source = new ClusterSource({
    mode: 'cluster',
    timeoutMs: 100,
    seeds: [],
    ask: async (address) => {
      asked.push(address)
      if (isCertain(address)) await awaited
      return view
    },
    isReady: () => true,
    isCertain,
    addressOf: ({ host, port }) => `${host}:${port}`,
  })
  return { source, asked }
}

it('a look asks three nodes, one that is in no doubt among them though there is only one', async () => {
  const { source, asked } = sourceOf((address) => address === 'h:7')
  for (let look = 1; look <= 50; look++) {
    await source.look(nodes)
    const latest = new Set(asked.slice(-3))
    expect(asked).toHaveLength(3 * look)
    expect(latest.size).toBe(3)
    expect(latest).toContain('h:7')
  }
})

it('a look waits for the one that is in no doubt, though the others answer first: without its word they stay in doubt', async () => {
  let answer: (() => void) | undefined
  const awaited = new Promise<void>((resolve) => (answer = resolve))
  const { source } = sourceOf((address) => address === 'h:7', awaited)
  let isOver = false
  const look = source.look(nodes).finally(() => (isOver = true))
  await setImmediate()
  expect(isOver).toBe(false)
  answer?.()
  expect((await look).answered).toContain('h:7')
})

it('a look asks any three nodes where all are in doubt, or none is', async () => {
  for (const isCertain of [true, false]) {
    const { source, asked } = sourceOf(() => isCertain)
    for (let look = 1; look <= 100; look++) await source.look(nodes)
    // By chance it leaves one of thirty out in one of a thousand such runs, and three of them in none.
    expect(new Set(asked).size).toBeGreaterThan(27)
  }
})
