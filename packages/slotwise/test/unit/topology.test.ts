import { expect, it } from 'vitest'
import { mergeViews, readClusterNodes, SlotTable } from '../../src/redis/topology.js'

const view = (...lines: readonly string[]) => readClusterNodes(lines.join('\n'), 'h')
const ownerIn = (...views: ReturnType<typeof view>[]) => mergeViews(views).owners[0]?.id

const one = 'one h:1@9 master - 0 0 4 connected 0-5'
const same = 'two h:2@9 myself,master - 0 0 4 connected 0-5'
const failed = one.replace('master', 'master,fail')

it('of two claims of a slot the one with the higher epoch counts, in whatever order they are told', () => {
  const higher = same.replace(' 4 ', ' 5 ')
  expect(ownerIn(view(one), view(higher))).toBe('two')
  expect(ownerIn(view(higher), view(one))).toBe('two')
  expect(ownerIn(view(higher), view(failed))).toBe('two')
})

it('of two with one epoch the one that others have given up does not count', () => {
  expect(ownerIn(view(failed), view(same))).toBe('two')
  expect(ownerIn(view(same), view(failed))).toBe('two')
})

/** Ids of those that count as replaced after tables of these lines, one after the other. */
function replacedIn(...tables: readonly (readonly string[])[]): readonly string[] {
  const table = new SlotTable()
  for (const lines of tables) table.replace(mergeViews([view(...lines)]))
  return table.nodes.filter((node) => table.isReplaced(node)).map(({ id }) => id)
}

const primary = 'a h:1@9 master - 0 0 1 connected 0-5'
const replica = 'b h:2@9 slave a 0 0 1 connected'
const elected = 'b h:2@9 master - 0 0 2 connected 0-5'
const emptied = 'a h:1@9 master - 0 0 1 connected'
const other = 'c h:3@9 master - 0 0 3 connected 6-9'

it('a primary counts as replaced once its replica serves slots, until it has heard of it or serves some again', () => {
  const before = [primary, replica, other]
  expect(replacedIn(before)).toEqual(['b'])
  expect(replacedIn(before, [emptied, elected, other])).toEqual(['a'])
  const heard = 'a h:1@9 slave b 0 0 2 connected'
  const later = 'c h:3@9 master - 0 0 4 connected 6-9'
  expect(replacedIn(before, [emptied, elected, other], [emptied, elected, later])).toEqual(['a'])
  expect(replacedIn(before, [emptied, elected, other], [heard, elected, other])).toEqual(['a'])
  expect(
    replacedIn(before, [emptied, elected, other], [heard, elected, other], [emptied, elected, other]),
  ).toEqual([])
  const given = 'a h:1@9 master - 0 0 5 connected 9'
  expect(replacedIn(before, [emptied, elected, other], [given, elected, other])).toEqual([])
  expect(replacedIn(before, [emptied, elected, other], [elected, other], [emptied, elected, other])).toEqual(
    [],
  )
})

it('a primary that has given its slots away does not count as replaced, nor one that is new', () => {
  const taken = 'c h:3@9 master - 0 0 4 connected 0-9'
  const added = 'd h:4@9 master - 0 0 0 connected'
  expect(replacedIn([primary, replica, other], [emptied, replica, taken, added])).toEqual(['b'])
})
