import type { Expression, Node } from 'luaparse'
import type { Header } from '../header.js'
import type { Script } from '../parse.js'
import type { Resolved } from '../scopes.js'

/** Something that is wrong with a script. */
export interface Finding {
  readonly line: number
  readonly message: string
}

/** What a rule may look at. */
export interface Subject extends Script, Resolved {
  readonly header: Header
}

export type Rule = (script: Subject) => Finding[]

export const at = (node: Node, message: string): Finding => ({ line: node.loc?.start.line ?? 1, message })

/** `KEYS` or `ARGV`, if that is what an expression is: the tables that Redis hands to a script. */
export function given({ bindingOf }: Subject, node: Node): 'KEYS' | 'ARGV' | undefined {
  if (node.type !== 'Identifier' || bindingOf(node) !== undefined) return undefined
  return node.name === 'KEYS' || node.name === 'ARGV' ? node.name : undefined
}

/** The n of `KEYS[n]` or `ARGV[n]`; `undefined` if the index is computed. */
export function literalIndex(node: Expression): number | undefined {
  return node.type === 'NumericLiteral' && Number.isInteger(node.value) ? node.value : undefined
}

/** The text of a plain string; one with escapes or in long brackets is not looked into. */
export function literalText(node: Expression | undefined): string | undefined {
  return node?.type === 'StringLiteral' ? /^(['"])([^\\]*)\1$/.exec(node.raw)?.[2] : undefined
}

/** The global function a call names, such as `redis.call`, `tostring`. */
export function calledName({ bindingOf }: Subject, base: Expression): string | undefined {
  if (base.type === 'Identifier') return bindingOf(base) === undefined ? base.name : undefined
  if (base.type !== 'MemberExpression' || base.base.type !== 'Identifier') return undefined
  return bindingOf(base.base) === undefined ? `${base.base.name}.${base.identifier.name}` : undefined
}

/** The arguments of a call in any of its three spellings. */
export function argumentsOf(node: Node): readonly Expression[] | undefined {
  if (node.type === 'CallExpression') return node.arguments
  if (node.type === 'StringCallExpression') return [node.argument]
  if (node.type === 'TableCallExpression') return [node.arguments]
  return undefined
}
