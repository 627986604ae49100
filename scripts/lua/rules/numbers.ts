import type { Expression, Node } from 'luaparse'
import { argumentsOf, at, calledName, type Finding, literalText, type Rule, type Subject } from './rule.js'

/**
 * Lua writes a number with 14 digits, so a time in microseconds or a token comes out wrong. Numbers become
 * text by `string.format('%.0f', n)`; arguments of redis.call are exact without it.
 */
export const numberRules: Rule = (script) =>
  script.nodes.flatMap((node): Finding[] => {
    const [argument] = argumentsOf(node) ?? []
    if (argument !== undefined && 'base' in node && calledName(script, node.base) === 'tostring') {
      if (isNoNumber(argument)) return []
      return [at(node, "tostring keeps 14 digits of a number: use string.format('%.0f', n)")]
    }
    if (node.type !== 'BinaryExpression' || node.operator !== '..') return []
    return [node.left, node.right]
      .filter((side) => isNumber(script, side, new Set()))
      .map((side) => at(side, "`..` keeps 14 digits of a number: use string.format('%.0f', n)"))
  })

const ARITHMETIC = new Set(['+', '-', '*', '/', '%', '^'])

function isNumber(script: Subject, node: Expression, seen: Set<Node>): boolean {
  if (seen.has(node)) return false
  seen.add(node)
  switch (node.type) {
    case 'BinaryExpression':
      return ARITHMETIC.has(node.operator)
    case 'UnaryExpression':
      return node.operator === '-'
    case 'LogicalExpression':
      return isNumber(script, node.left, seen) || isNumber(script, node.right, seen)
    case 'CallExpression': {
      const name = calledName(script, node.base)
      return name === 'tonumber' || name?.startsWith('math.') === true
    }
    case 'Identifier': {
      const binding = script.bindingOf(node)
      const values = binding === undefined ? [] : [binding.init, ...binding.assigned]
      return values.some((value) => value !== undefined && isNumber(script, value, seen))
    }
    default:
      return false
  }
}

const COMPARISONS = new Set(['==', '~=', '<', '<=', '>', '>=', '..'])

function isNoNumber(node: Expression): boolean {
  if (node.type === 'BooleanLiteral' || node.type === 'NilLiteral' || literalText(node) !== undefined)
    return true
  if (node.type === 'UnaryExpression') return node.operator === 'not'
  return node.type === 'BinaryExpression' && COMPARISONS.has(node.operator)
}
