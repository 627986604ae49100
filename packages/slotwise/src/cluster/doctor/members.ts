import { type Found, found } from './finding.js'
import { listed, type NodeObservation, type Observed } from './observation.js'

/** Does every node answer, and do the nodes know and see each other? */
export function members(seen: Observed): Found[] {
  return [
    ...seen.nodes.flatMap((node) => absent(node, seen)),
    ...(seen.standalone ? [] : [...suspected(seen), ...strangers(seen)]),
  ]
}

/** What the others make of a node: their lines about it, and those by which they do not reach it. */
export function opinionsOf(node: NodeObservation, { nodes }: Observed) {
  const lines = nodes.flatMap(({ id, name, view }) => {
    const line = id === node.id ? undefined : view.find((each) => each.id === node.id)
    return line === undefined ? [] : [{ name, line }]
  })
  const failing = lines.filter(
    ({ line }) => !line.connected || line.flags.some((flag) => flag.startsWith('fail')),
  )
  return { lines, failing }
}

function absent(node: NodeObservation, seen: Observed): Found[] {
  const { name, reason = 'no answer in time' } = node
  if (node.state === 'answers') return []
  if (node.state === 'loading') return [found('node-loading', name, `${name}: ${reason}`)]
  if (node.state === 'busy') return [found('node-busy', name, `${name}: ${reason}`)]
  if (node.state === 'refuses') return [found('node-refuses', name, `${name}: ${reason}`)]
  const { lines, failing } = opinionsOf(node, seen)
  const others =
    failing.length === 0
      ? `the others see it at work`
      : `${failing.length} of ${lines.length} others do not reach it either`
  const evidence = `${name}: ${reason}; ${lines.length === 0 ? 'nobody else tells' : others}`
  return [found('node-unreachable', name, evidence, { id: node.id })]
}

/** It answers here, and not to its peers: a bus port that is closed, or a partition that we are not behind. */
function suspected(seen: Observed): Found[] {
  return seen.nodes.flatMap((node) => {
    if (node.state !== 'answers') return []
    const { lines, failing } = opinionsOf(node, seen)
    if (failing.length === 0) return []
    const names = listed(failing.map(({ name }) => name))
    const evidence = `${node.name} answers here, but ${failing.length} of ${lines.length} others do not reach it: ${names}`
    return [found('node-suspected', node.name, evidence)]
  })
}

function strangers({ nodes }: Observed): Found[] {
  const telling = nodes.filter(({ view }) => view.length > 0)
  const all = new Map(telling.flatMap(({ view }) => view).map((line) => [line.id, line]))
  return telling.flatMap(({ name, view }) => {
    const known = new Set(view.map(({ id }) => id))
    return [...all.values()]
      .filter(({ id }) => !known.has(id))
      .map((line) => {
        const subject = nodes.find(({ id }) => id === line.id)
        const { host, port } = subject ?? line
        const evidence = `${name} does not know ${subject?.name ?? line.id}, which others do`
        return found('node-unknown', name, evidence, { host, port, bus: line.busPort, id: line.id })
      })
  })
}
