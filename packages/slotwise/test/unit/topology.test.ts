import { expect, it } from 'vitest'
import { mergeViews, readClusterNodes } from '../../src/redis/topology.js'

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
