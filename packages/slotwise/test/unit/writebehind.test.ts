import { describe, expect, it } from 'vitest'
import { SLOTS, slotOf } from '../../src/slots.js'
import { partitionKeys, partitionOf } from '../../src/writebehind/partition-keys.js'
import { nameOf, rowOf } from '../../src/writebehind/rows.js'

const space = { namespace: 'n', pattern: 'writebehind', name: 'test' }

describe('partitions', () => {
  it.each([1, 3, 32, 1000])(
    'of which there are %i lie evenly over the slots, each in its own part of them',
    (count) => {
      const slots = partitionKeys(space, count).map(slotOf)
      expect(slots.map((slot) => Math.floor((slot * count) / SLOTS))).toEqual(slots.map((_, index) => index))
    },
  )

  it('have about as many rows as each other, braces in their names or not', () => {
    const counts = new Map<number, number>()
    for (let n = 0; n < 8000; n++) {
      const at = partitionOf(nameOf(`row {same} ${n}`, 'a tenant'), 8)
      counts.set(at, (counts.get(at) ?? 0) + 1)
    }
    expect(counts.size).toBe(8)
    expect(Math.max(...counts.values()) / Math.min(...counts.values())).toBeLessThan(1.3)
  })
})

describe('names of rows', () => {
  it.each([
    ['a', undefined, { id: 'a' }],
    [['a'], undefined, { id: 'a' }],
    [['a', 7, 8n], undefined, { id: ['a', '7', '8'] }],
    ['{"tenant":"x"}', 'acme', { id: '{"tenant":"x"}', tenant: 'acme' }],
  ] as const)('come back as they were: %o of %s', (id, tenant, row) => {
    expect(rowOf(nameOf(id, tenant))).toEqual(row)
  })

  it.each([[''], [[]], [['a', '']], ['x'.repeat(600)]] as const)('are refused: %o', (id) => {
    expect(() => nameOf(id, undefined)).toThrow(/an id/)
  })
})
