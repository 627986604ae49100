import { expect, it } from 'vitest'
import { slotMapOf } from '../../src/cluster/doctor/slot-map.js'
import type { NodeLine } from '../../src/cluster/view.js'

const line = (id: string, epoch: number, slots: NodeLine['slots']): NodeLine =>
  ({ id, epoch, slots }) as unknown as NodeLine

it.each([
  ['a dead node has claimed with the same epoch', 7, 'living'],
  ['a dead node has claimed later', 8, 'dead'],
  ['a dead node has claimed before', 6, 'living'],
])('a slot that %s', (_, epoch, owner) => {
  const views = [
    // Whoever is asked first believes in the dead one.
    { id: 'other', view: [line('dead', epoch, [[0, 9]]), line('other', 3, [[10, 19]])] },
    { id: 'living', view: [line('living', 7, [[0, 9]]), line('other', 3, [[10, 19]])] },
  ]
  const { owners, disputed } = slotMapOf(views)
  expect(owners[5]).toBe(owner)
  expect(owners[15]).toBe('other')
  expect(disputed.has(5)).toBe(true)
})
