import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type ChangeHandler, trackChanges } from '../../../src/invalidation/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'

let port: RedisPort
beforeAll(async () => {
  const namespace = `track-${randomUUID().slice(0, 8)}`
  // Others listen at the same servers.
  port = await connect({ nodes: inject('clusterNodes'), namespace, clientName: namespace })
})
afterAll(() => port.close())

const POLL = { interval: 2, timeout: 5000 }
const keys = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) => keyOf({ namespace: port.namespace, pattern: 'test', name }, [n]))

/** Tracks from when every primary is heard. */
async function tracked(name: string, more: Partial<ChangeHandler> = {}) {
  const changed: string[] = []
  const gaps: string[] = []
  const tracking = trackChanges(
    port,
    { prefixes: [`${port.namespace}:test:${name}:`], proofMs: 20 },
    { changed: (key) => changed.push(key), gap: (node) => gaps.push(node), ...more },
  )
  await expect.poll(() => [...tracking.proofs().values()].filter((at) => at > 0).length, POLL).toBe(3)
  return { tracking, changed, gaps, [Symbol.dispose]: () => tracking.close() }
}

const command = (key: Key, ...words: [string, ...(string | number)[]]) => port.call({ key, command: words })

describe('what changes is told', () => {
  it('whoever writes, on every primary, by script, by expiry, and nothing else', async () => {
    using scene = await tracked('all')
    const those = keys('all', 30)
    for (const key of those) await command(key, 'SET', key, 'x')
    for (const key of keys('other', 30)) await command(key, 'SET', key, 'x')
    await expect.poll(() => new Set(scene.changed).size, POLL).toBe(30)
    expect(new Set(scene.changed)).toEqual(new Set(those))
    scene.changed.length = 0
    const [one = '' as Key, two = '' as Key, three = '' as Key] = those
    await command(one, 'DEL', one)
    await command(two, 'EVAL', "redis.call('APPEND', KEYS[1], 'y') return 1", 1, two)
    await command(three, 'PEXPIRE', three, 1)
    await expect.poll(() => new Set(scene.changed), POLL).toEqual(new Set([one, two, three]))
  })

  it('before the moment up to which everything is said to be told', async () => {
    using scene = await tracked('proofs')
    const [key = '' as Key] = keys('proofs', 1)
    for (let round = 0; round < 20; round++) {
      scene.changed.length = 0
      await command(key, 'SET', key, round)
      const at = performance.now()
      await expect.poll(() => Math.min(...scene.tracking.proofs().values()) > at, POLL).toBe(true)
      expect(scene.changed).toContain(key)
    }
  })
})

it('that a primary has told no more is told, and it goes on', async () => {
  using scene = await tracked('gap')
  const [key = '' as Key] = keys('gap', 1)
  for (const { node, result } of await port.onEachPrimary(['CLIENT', 'LIST'])) {
    const lines = result.status === 'fulfilled' ? String(result.value).split('\n') : []
    for (const line of lines.filter(
      (one) => /\bflags=\S*B/.test(one) && one.includes(`name=${port.namespace} `),
    )) {
      await port.onNode(node.id, ['CLIENT', 'KILL', 'ID', /\bid=(\d+)/.exec(line)?.[1] ?? ''])
    }
  }
  await expect.poll(() => scene.gaps.length, POLL).toBeGreaterThanOrEqual(3)
  await expect
    .poll(async () => {
      await command(key, 'SET', key, 'x')
      return scene.changed.includes(key)
    }, POLL)
    .toBe(true)
})

it('a handler that throws is told so, and told of the next change', async () => {
  const errors: unknown[] = []
  const told: string[] = []
  using scene = await tracked('throws', {
    changed: (key) => {
      told.push(key)
      throw new Error('mine')
    },
    onError: (error) => errors.push(error),
  })
  const those = keys('throws', 3)
  for (const key of those) await command(key, 'SET', key, 'x')
  await expect.poll(() => new Set(told).size, POLL).toBe(3)
  expect(errors).toHaveLength(told.length)
  expect(scene.tracking.proofs().size).toBe(3)
})

it.each([[[]], [['a', 'ab']], [['a', 'a']], [[7]]])(
  'prefixes that servers do not take are refused: %j',
  (prefixes) => {
    const handler = { changed: () => {}, gap: () => {} }
    expect(() => trackChanges(port, { prefixes: prefixes as string[] }, handler)).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION' }),
    )
  },
)
