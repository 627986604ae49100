import { expect, it } from 'vitest'
import type { ClusterNode } from '../../src/redis/index.js'
import { changesBetween } from '../../src/redis/topology-change.js'

const node = (id: string, primary?: string): ClusterNode => ({
  id,
  host: 'h',
  port: 1,
  epoch: 1,
  role: primary === undefined ? 'primary' : 'replica',
  ...(primary === undefined ? {} : { primary }),
})
const [a, b, replica] = [node('a'), node('b'), node('r', 'a')]
const promoted = node('r')
const owners = (...list: (ClusterNode | undefined)[]) => list

it('the first table is no change, since nobody saw another', () => {
  expect(changesBetween({ nodes: [], owners: [] }, { nodes: [a], owners: owners(a) })).toEqual([])
})

it('a replica that took over its primary’s slots is a failover; any other handover is a move', () => {
  const before = { nodes: [a, b, replica], owners: owners(a, a, b, undefined) }
  const after = { nodes: [node('a', 'r'), b, promoted], owners: owners(promoted, promoted, promoted, b) }
  expect(changesBetween(before, after)).toEqual([
    { kind: 'failover', from: a, to: promoted, slots: 2 },
    { kind: 'slots-moved', from: b, to: promoted, slots: [2] },
    { kind: 'slots-moved', from: undefined, to: b, slots: [3] },
  ])
})

it('nodes that come and go are told', () => {
  const before = { nodes: [a, b], owners: owners(a) }
  expect(changesBetween(before, { nodes: [a, replica], owners: owners(a) })).toEqual([
    { kind: 'node-added', node: replica },
    { kind: 'node-removed', node: b },
  ])
})
