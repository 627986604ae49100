import { type Found, found } from './finding.js'
import { figure, type NodeObservation, type Observed, ownersOf } from './observation.js'

/** Do the primaries share the work? Below these amounts, differences are chance. */
const SLOTS_RATIO = 1.5
const RATIO = 2
const KEYS_WORTH = 1000
const BYTES_WORTH = 64 * 2 ** 20

export function balance(seen: Observed): Found[] {
  if (seen.standalone) return []
  const owners = ownersOf(seen)
  const slots = new Map<string, number>()
  for (const owner of seen.map.owners) if (owner !== undefined) slots.set(owner, (slots.get(owner) ?? 0) + 1)
  const keysOf = ({ info }: NodeObservation) => Number(/^keys=(\d+)/.exec(info.get('db0') ?? '')?.[1] ?? 0)
  const bytesOf = ({ info }: NodeObservation) => figure(info, 'used_memory_dataset') ?? 0
  const keys = uneven(owners, keysOf, RATIO, KEYS_WORTH)
  const bytes = uneven(owners, bytesOf, RATIO, BYTES_WORTH)
  const shares = uneven(owners, ({ id }) => slots.get(id) ?? 0, SLOTS_RATIO, 0)
  return [
    ...idle(seen),
    ...(shares ? [found('slots-unbalanced', shares.name, `${shares.said} slots`)] : []),
    ...(keys ? [found('keys-unbalanced', keys.name, `${keys.said} keys`)] : []),
    ...(bytes ? [found('memory-unbalanced', bytes.name, `${bytes.said} bytes of data`)] : []),
  ]
}

/** The primary that has more than its share by this factor. */
function uneven(
  owners: readonly NodeObservation[],
  amountOf: (node: NodeObservation) => number,
  ratio: number,
  worth: number,
): { readonly name: string; readonly said: string } | undefined {
  // Who does not tell is not empty.
  const telling = owners.filter(({ info }) => info.size > 0).map((node) => ({ node, amount: amountOf(node) }))
  const mean = telling.reduce((sum, { amount }) => sum + amount, 0) / telling.length
  const most = telling.toSorted((a, b) => b.amount - a.amount)[0]
  if (telling.length < 2 || most === undefined || most.amount < worth || most.amount < mean * ratio)
    return undefined
  return {
    name: most.node.name,
    said: `${most.node.name} has ${most.amount}, the mean is ${Math.round(mean)}`,
  }
}

function idle(seen: Observed): Found[] {
  const owners = new Set(seen.map.owners)
  return seen.nodes
    .filter(({ id, role, state }) => role === 'primary' && state === 'answers' && !owners.has(id))
    .map(({ name }) =>
      found('primary-idle', name, `${name} is a primary without slots: it serves nothing and has no vote`),
    )
}
