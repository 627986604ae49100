import type { Expression, Node } from 'luaparse'
import { COMMANDS } from '../commands.js'
import type { Rule, Subject } from './rule.js'
import { argumentsOf, at, calledName, type Finding, given, literalIndex, literalText } from './rule.js'

/** Every command names its keys as `KEYS[n]`, so that what a script touches is what its caller declared. */
export const callRules: Rule = (script) =>
  script.nodes.flatMap((node) => [...hidden(script, node), ...command(script, node)])

function hidden(script: Subject, node: Node): Finding[] {
  if (node.type === 'IndexExpression' && isRedis(script, node.base))
    return [at(node, 'write redis.call, not redis[…]: what is called must be readable')]
  if (node.type !== 'MemberExpression' || !isCall(calledName(script, node))) return []
  const parent = script.parentOf(node)
  const called =
    parent !== undefined && argumentsOf(parent) !== undefined && 'base' in parent && parent.base === node
  return called ? [] : [at(node, 'redis.call must be called where it stands, not kept under another name')]
}

function command(script: Subject, node: Node): Finding[] {
  const args = argumentsOf(node)
  if (args === undefined || !('base' in node) || !isCall(calledName(script, node.base))) return []
  const [first, ...rest] = args
  const name = literalText(first)
  if (name === undefined) return [at(node, 'the name of a command must be a plain string')]
  const positions = COMMANDS.get(name.toUpperCase())
  if (positions === undefined)
    return [at(node, `${name} is not among the commands that scripts may call: see scripts/lua/commands.ts`)]
  const expected = positions(rest.map((arg) => literalText(arg) ?? numberText(arg)))
  // With a destination in front, the count has found no keys when the destination stands alone.
  if (NEEDS_KEYS.test(name) && expected.length === (name.toUpperCase().endsWith('STORE') ? 1 : 0))
    return [at(node, `how many keys ${name} takes must be readable: a literal number or STREAMS`)]
  return expected.flatMap((position) => {
    const key = rest[position - 1]
    if (key !== undefined && isGivenKey(script, key)) return []
    return [
      at(key ?? node, `${name}: argument ${position} is a key and must be KEYS[n] or a local that holds it`),
    ]
  })
}

/** Commands whose number of keys is itself an argument. */
const NEEDS_KEYS = /^(Z(UNION|INTER|DIFF)(STORE)?|[SZ]INTERCARD|[LZ]MPOP|XREAD(GROUP)?)$/i

function isGivenKey(script: Subject, node: Expression): boolean {
  if (node.type === 'IndexExpression') {
    return given(script, node.base) === 'KEYS' && literalIndex(node.index) !== undefined
  }
  if (node.type !== 'Identifier') return false
  const binding = script.bindingOf(node)
  return binding?.init !== undefined && binding.assigned.length === 0 && isGivenKey(script, binding.init)
}

const isCall = (name: string | undefined): boolean => name === 'redis.call' || name === 'redis.pcall'
const numberText = (node: Expression): string | undefined =>
  node.type === 'NumericLiteral' ? String(node.value) : undefined
const isRedis = (script: Subject, node: Expression): boolean =>
  node.type === 'Identifier' && node.name === 'redis' && script.bindingOf(node) === undefined
