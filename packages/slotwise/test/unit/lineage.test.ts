import { expect, it } from 'vitest'
import { isHandedOver } from '../../src/cluster/lineage.js'
import type { Lineage } from '../../src/redis/lineage.js'

const before: Lineage = { role: 'master', earlier: '0', earlierUntil: '-1', reign: 'old', run: 'a' }
const from: Lineage = { role: 'slave', earlier: 'old', earlierUntil: '701', reign: 'new', run: 'a' }
const to: Lineage = { role: 'master', earlier: 'old', earlierUntil: '701', reign: 'new', run: 'b' }

it('a history is handed over whole where both name the end of the old one', () => {
  expect(isHandedOver(before, from, to)).toBe(true)
})

it.each<[string, Partial<Record<'before' | 'from' | 'to', Partial<Lineage>>>]>([
  [
    'one had gone on, and could not follow from there',
    { from: { earlier: '0'.repeat(40), earlierUntil: '-1' } },
  ],
  ['they name different ends', { from: { earlierUntil: '702' } }],
  ['the successor took over from another', { to: { earlier: 'other' } }],
  ['it does not follow its successor yet', { from: { role: 'master', reign: 'old', earlier: '0' } }],
  ['it was started anew, maybe from what it had saved long before', { from: { run: 'c' } }],
  ['it was no primary when it was asked to', { before: { role: 'slave' } }],
  [
    'nothing is told of histories',
    { before: { reign: undefined }, from: { earlier: undefined }, to: { earlier: undefined } },
  ],
])('a history is not handed over whole where %s', (_, other) => {
  const parts = [before, from, to] as const
  const [first, second, third] = [other.before, other.from, other.to].map((part, i) => ({
    ...parts[i],
    ...part,
  }))
  expect(isHandedOver(first as Lineage, second as Lineage, third as Lineage)).toBe(false)
})
