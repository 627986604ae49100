import type { Expression, ForNumericStatement, Node } from 'luaparse'
import { at, given, type Rule, type Subject } from './rule.js'

/**
 * A script holds up its whole server, so every loop says how far it can run: by literal bounds, by the number
 * of arguments, or in a comment `-- bound: …` beside it or right above.
 */
export const loopRules: Rule = (script) =>
  script.nodes
    .filter((node) => isLoop(node) && !isBounded(script, node) && !saysBound(script, node))
    .map((node) =>
      at(node, 'a loop needs literal bounds or a comment `-- bound: …` that says how far it can run'),
    )

const isLoop = (node: Node): boolean =>
  node.type === 'WhileStatement' ||
  node.type === 'RepeatStatement' ||
  node.type === 'ForNumericStatement' ||
  node.type === 'ForGenericStatement'

function isBounded(script: Subject, node: Node): boolean {
  if (node.type === 'ForNumericStatement') return isBoundedCount(script, node)
  if (node.type !== 'ForGenericStatement') return false
  // for … in ipairs(ARGV): as far as the caller gave arguments.
  const [iterator, ...more] = node.iterators
  if (iterator?.type !== 'CallExpression' || more.length > 0) return false
  const [table, ...others] = iterator.arguments
  return table !== undefined && others.length === 0 && given(script, table) !== undefined
}

function isBoundedCount(script: Subject, { start, end, step }: ForNumericStatement): boolean {
  return [start, end, ...(step === null ? [] : [step])].every((bound) => isLiteralBound(script, bound))
}

function isLiteralBound(script: Subject, node: Expression): boolean {
  if (node.type === 'NumericLiteral') return true
  if (node.type !== 'UnaryExpression') return false
  if (node.operator === '-') return node.argument.type === 'NumericLiteral'
  return node.operator === '#' && given(script, node.argument) !== undefined
}

function saysBound({ comments }: Subject, node: Node): boolean {
  const line = node.loc?.start.line ?? 0
  let above = line - 1
  for (const comment of comments.toReversed()) {
    if (comment.line !== line && (comment.lastLine !== above || !comment.wholeLine)) continue
    if (/\bbound:\s*\S/.test(comment.text)) return true
    if (comment.line !== line) above = comment.line - 1
  }
  return false
}
