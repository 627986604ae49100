import { describe, expect, it } from 'vitest'
import type { NodeView, SlotRange } from '../../src/cluster/view.js'
import { ConfigurationError } from '../../src/errors.js'
import { groupsOf, majorityOf } from '../../src/local/groups.js'
import { processAt } from '../../src/local/peers.js'

describe('groups of a partition', () => {
  it('give each node its group', () => {
    expect(groupsOf([[0, 3], [4], [2, 1]], 5)).toEqual([0, 2, 2, 0, 1])
  })

  it.each([
    ['a node in none', [[0], [1]], /node 2 is in none of the groups/],
    [
      'a node in two',
      [
        [0, 1],
        [2, 1],
      ],
      /groups name node 1 twice/,
    ],
    ['a node that is none', [[0, 1, 2, 3]], /from 0 to 2, got 3/],
    ['no number', [[0, 1, 'two']], /from 0 to 2, got "two"/],
    ['no groups', [], /lists of indexes of nodes/],
    ['no lists', [0, 1, 2], /lists of indexes of nodes/],
  ])('refuse %s', (_, groups, message) => {
    expect(() => groupsOf(groups as number[][], 3)).toThrow(message)
    expect(() => groupsOf(groups as number[][], 3)).toThrow(ConfigurationError)
  })
})

describe('the majority', () => {
  const line = (id: string, epoch: number, slots: readonly SlotRange[]) =>
    ({ id, epoch, slots }) as unknown as NodeView['self']
  const view = (...[self, ...others]: NodeView['self'][]) =>
    ({ self, others: new Map(others.map((other) => [other.id, other])) }) as unknown as NodeView
  const ids = ['a', 'b', 'c', 'd', 'e', 'f']
  const slots: readonly SlotRange[] = [[0, 1]]

  it('is where most of the primaries are that own slots, however many nodes are elsewhere', () => {
    const seen = view(line('b', 2, slots), line('a', 1, slots), line('c', 3, slots), line('f', 4, []))
    expect(majorityOf([0, 0, 1, 1, 1, 1], ids, [seen])).toBe(0)
  })

  it('is what the node with the newest picture sees: one that was elected counts, whom it replaced does not', () => {
    const older = view(line('a', 1, slots), line('b', 2, slots), line('c', 3, slots), line('d', 1, []))
    const newer = view(line('c', 3, slots), line('a', 1, []), line('b', 2, slots), line('d', 7, slots))
    expect(majorityOf([0, 0, 1, 1, 1, 1], ids, [older, newer])).toBe(1)
    expect(majorityOf([0, 0, 1, 1, 1, 1], ids, [older])).toBe(0)
  })

  it('may be nowhere', () => {
    const seen = view(line('a', 1, slots), line('b', 2, slots), line('c', 3, slots))
    expect(() => majorityOf([0, 1, 2, 0, 1, 2], ids, [seen])).toThrow(/no group holds a majority/)
    expect(() => majorityOf([0, 0, 0, 0, 0, 0], ids, [])).toThrow(ConfigurationError)
  })
})

it('the process at the end of a connection is found in what lsof prints, and the other end is not taken for it', () => {
  const printed =
    'p411\nf24\nn127.0.0.1:12122->127.0.0.1:40222\np977\nf19\nn127.0.0.1:40222->127.0.0.1:12122\n'
  expect(processAt('127.0.0.1:40222', printed)).toBe(977)
  expect(processAt('127.0.0.1:12122', printed)).toBe(411)
  expect(processAt('127.0.0.1:4022', printed)).toBeUndefined()
  expect(processAt('127.0.0.1:40222', '')).toBeUndefined()
})
