import { expect, it } from 'vitest'
import { beingReplaced, readClusterNodes } from '../../src/redis/topology.js'

const view = (...nodes: readonly (readonly [id: string, flags: string, primary?: string])[]) =>
  readClusterNodes(
    nodes
      .map(([id, flags, primary = '-'], i) => `${id} h:${i + 1}@9 ${flags} ${primary} 0 0 1 connected`)
      .join('\n'),
    'h',
  )
const idsOf = (...views: ReturnType<typeof view>[]) => beingReplaced(views).map(({ id }) => id)

it('a primary that somebody has given up is being replaced as long as a replica of it lives', () => {
  const given = view(['a', 'master,fail'], ['r', 'slave', 'a'], ['b', 'myself,master'])
  expect(idsOf(view(['a', 'myself,master'], ['r', 'slave', 'a']), given)).toEqual(['a'])
})

it('nobody can take the place of one without a replica, nor of one that is only suspected', () => {
  expect(idsOf(view(['a', 'master,fail'], ['r', 'slave,fail', 'a'], ['b', 'myself,master']))).toEqual([])
  expect(idsOf(view(['a', 'master,fail'], ['b', 'myself,master']))).toEqual([])
  expect(idsOf(view(['a', 'master,fail?'], ['r', 'slave', 'a'], ['b', 'myself,master']))).toEqual([])
})
