import type { Expression, Node, TableConstructorExpression } from 'luaparse'
import { LuaSyntaxError } from '../parse.js'
import type { Names } from './names.js'

/** Functions of Redis's Lua that a twin has, by what they are called in its library. Others have no twin yet. */
const SINGLE = new Map(
  Object.entries({
    'redis.call': 'redis.call',
    'redis.pcall': 'redis.pcall',
    'redis.error_reply': 'lua.errorReply',
    'redis.status_reply': 'lua.statusReply',
    tonumber: 'lua.tonumber',
    tostring: 'lua.tostring',
    type: 'lua.type',
    error: 'lua.error',
    'math.abs': 'lua.abs',
    'math.ceil': 'lua.ceil',
    'math.floor': 'lua.floor',
    'math.max': 'lua.max',
    'math.min': 'lua.min',
    'string.byte': 'lua.byte',
    'string.char': 'lua.char',
    'string.format': 'lua.format',
    'string.len': 'lua.len',
    'string.lower': 'lua.lower',
    'string.rep': 'lua.rep',
    'string.sub': 'lua.sub',
    'string.upper': 'lua.upper',
    'struct.pack': 'lua.pack',
    'table.concat': 'lua.join',
    'table.insert': 'lua.insert',
    'table.remove': 'lua.remove',
  }),
)
/** Those that give several values. */
const SEVERAL = new Map(
  Object.entries({ unpack: 'lua.unpack', 'string.find': 'lua.find', 'struct.unpack': 'lua.unpackStruct' }),
)

const ARITHMETIC = new Map(Object.entries({ '+': '+', '-': '-', '*': '*', '/': '/', '^': '**' }))
const ORDER = new Map(Object.entries({ '<': 'lua.lt', '<=': 'lua.le', '>': 'lua.gt', '>=': 'lua.ge' }))

/** Writes an expression of Lua as one of TypeScript. A function in it is written by whoever writes statements. */
export class Expressions {
  readonly #names: Names
  readonly #functionOf: (node: Expression & { readonly type: 'FunctionDeclaration' }) => string

  constructor(
    names: Names,
    functionOf: (node: Expression & { readonly type: 'FunctionDeclaration' }) => string,
  ) {
    this.#names = names
    this.#functionOf = functionOf
  }

  /** Its one value. */
  one(node: Expression): string {
    switch (node.type) {
      case 'Identifier':
        return this.#identifier(node.name, node)
      case 'StringLiteral':
        return JSON.stringify(node.value)
      case 'NumericLiteral':
        return String(node.value)
      case 'BooleanLiteral':
        return String(node.value)
      case 'NilLiteral':
        return 'undefined'
      case 'UnaryExpression':
        if (node.operator === 'not') return `!${this.truth(node.argument)}`
        if (node.operator === '-') return `-${this.#number(node.argument)}`
        if (node.operator === '#') return `lua.len(${this.one(node.argument)})`
        throw without(node, `the operator ${node.operator}`)
      case 'LogicalExpression':
        return `lua.${node.operator}(${this.one(node.left)}, () => ${this.one(node.right)})`
      case 'BinaryExpression':
        return this.#binary(node.operator, node.left, node.right, node)
      case 'IndexExpression':
        return `lua.index(${this.one(node.base)}, ${this.one(node.index)})`
      case 'MemberExpression':
        return `lua.index(${this.one(node.base)}, ${JSON.stringify(node.identifier.name)})`
      case 'TableConstructorExpression':
        return this.#table(node)
      case 'FunctionDeclaration':
        return this.#functionOf(node)
      case 'CallExpression':
      case 'StringCallExpression':
      case 'TableCallExpression':
        return this.#call(node).one
      default:
        throw without(node, node.type)
    }
  }

  /** A boolean of TypeScript. */
  truth(node: Expression): string {
    if (node.type === 'LogicalExpression') {
      return `(${this.truth(node.left)} ${node.operator === 'and' ? '&&' : '||'} ${this.truth(node.right)})`
    }
    if (node.type === 'UnaryExpression' && node.operator === 'not') return `!${this.truth(node.argument)}`
    return `lua.yes(${this.one(node)})`
  }

  /** All values of a list: of its last expression all, of the others the first. */
  list(nodes: readonly Expression[]): string {
    return nodes
      .map((node, i) =>
        i === nodes.length - 1 && this.givesSeveral(node) ? `...${this.all(node)}` : this.one(node),
      )
      .join(', ')
  }

  givesSeveral(node: Expression): boolean {
    return isCall(node) && this.#call(node).all !== undefined
  }

  /** Its values as an array. */
  all(node: Expression): string {
    return (isCall(node) ? this.#call(node).all : undefined) ?? `[${this.one(node)}]`
  }

  #identifier(name: string, node: Node): string {
    const local = this.#names.lookup(name)
    if (local !== undefined) return local
    if (name === 'KEYS' || name === 'ARGV') return `redis.${name}`
    throw without(node, name)
  }

  #number(node: Expression): string {
    return node.type === 'NumericLiteral' ? `${node.value}` : `lua.num(${this.one(node)})`
  }

  #binary(operator: string, left: Expression, right: Expression, node: Node): string {
    if (operator === '==') return `lua.eq(${this.one(left)}, ${this.one(right)})`
    if (operator === '~=') return `!lua.eq(${this.one(left)}, ${this.one(right)})`
    if (operator === '..') return `lua.concat(${this.one(left)}, ${this.one(right)})`
    if (operator === '%') return `lua.mod(${this.#number(left)}, ${this.#number(right)})`
    const order = ORDER.get(operator)
    if (order !== undefined) return `${order}(${this.one(left)}, ${this.one(right)})`
    const sign = ARITHMETIC.get(operator)
    if (sign === undefined) throw without(node, `the operator ${operator}`)
    return `(${this.#number(left)} ${sign} ${this.#number(right)})`
  }

  #table({ fields }: TableConstructorExpression): string {
    const listed = fields.flatMap((field) => (field.type === 'TableValue' ? [field.value] : []))
    const named = fields.flatMap((field) => {
      if (field.type === 'TableValue') return []
      const key = field.type === 'TableKeyString' ? JSON.stringify(field.key.name) : this.one(field.key)
      return [`[${key}, ${this.one(field.value)}]`]
    })
    return `lua.table([${this.list(listed)}]${named.length === 0 ? '' : `, [${named.join(', ')}]`})`
  }

  #call(node: Expression): { readonly one: string; readonly all?: string } {
    const { base, given } = callOf(node)
    const name = this.#globalName(base)
    if (name === undefined) {
      const all = `lua.invoke(${this.one(base)}, [${this.list(given)}])`
      return { one: `${all}[0]`, all }
    }
    const single = SINGLE.get(name)
    if (single !== undefined) return { one: `${single}(${this.list(given)})` }
    const several = SEVERAL.get(name)
    if (several === undefined) throw without(node, name)
    const all = `${several}(${this.list(given)})`
    return { one: `${all}[0]`, all }
  }

  /** `string.sub` for what is called by that name and no local. */
  #globalName(base: Expression): string | undefined {
    if (base.type === 'Identifier') return this.#names.lookup(base.name) === undefined ? base.name : undefined
    if (base.type !== 'MemberExpression' || base.base.type !== 'Identifier') return undefined
    if (this.#names.lookup(base.base.name) !== undefined) return undefined
    return `${base.base.name}.${base.identifier.name}`
  }
}

/** What the library of twins lacks. */
export function without(node: Node, what: string): LuaSyntaxError {
  const { loc } = node as Node & { readonly loc?: { readonly start: { readonly line: number } } }
  return new LuaSyntaxError(
    loc?.start.line ?? 1,
    `${what} has no twin in memory yet: see scripts/lua/twin and src/testing/lua`,
  )
}

const isCall = (node: Expression): boolean => node.type.endsWith('CallExpression')

function callOf(node: Expression): { readonly base: Expression; readonly given: readonly Expression[] } {
  if (node.type === 'CallExpression') return { base: node.base, given: node.arguments }
  if (node.type === 'StringCallExpression') return { base: node.base, given: [node.argument] }
  if (node.type === 'TableCallExpression') return { base: node.base, given: [node.arguments] }
  throw without(node, node.type)
}
