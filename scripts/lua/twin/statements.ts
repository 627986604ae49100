import type {
  Expression,
  Identifier,
  IfStatement,
  LocalStatement,
  ReturnStatement,
  Statement,
} from 'luaparse'
import { Expressions, without } from './expressions.js'
import { Names } from './names.js'

/** Writes statements of Lua as statements of TypeScript, or of JavaScript where types are not wanted. */
export class Statements {
  readonly #names = new Names()
  readonly #expressions: Expressions
  readonly #type: string
  /** A script returns one value, a function of it any number. */
  #depth = 0

  constructor({ typed }: { readonly typed: boolean }) {
    this.#type = typed ? ': lua.Value' : ''
    this.#expressions = new Expressions(this.#names, (node) => this.#function(node))
  }

  /** A block with a scope of its own; `declare` says what it knows from its first line on. */
  block(body: readonly Statement[], declare: () => void = () => {}): string {
    return this.#names.within(() => {
      declare()
      return body.map((statement) => this.#statement(statement)).join('\n')
    })
  }

  #statement(node: Statement): string {
    const { one, truth } = bound(this.#expressions)
    switch (node.type) {
      case 'LocalStatement':
        return this.#local(node)
      case 'AssignmentStatement': {
        const [target, ...others] = node.variables
        if (target !== undefined && others.length === 0) return this.#assign(target, this.#first(node.init))
        // All values are known before the first is assigned.
        const each = node.variables.map((variable, i) => this.#assign(variable, `all[${i}]`))
        return `{\nconst all${this.#several} = [${this.#expressions.list(node.init)}]\n${each.join('\n')}\n}`
      }
      case 'CallStatement':
        return one(node.expression)
      case 'ReturnStatement':
        return this.#return(node)
      case 'IfStatement':
        return this.#if(node)
      case 'DoStatement':
        return `{\n${this.block(node.body)}\n}`
      case 'WhileStatement':
        return `while (${truth(node.condition)}) {\n${this.block(node.body)}\n}`
      case 'RepeatStatement':
        // The condition knows the locals of the block.
        return this.#names.within(() => {
          const body = node.body.map((statement) => this.#statement(statement)).join('\n')
          return `for (;;) {\n${body}\nif (${truth(node.condition)}) break\n}`
        })
      case 'ForNumericStatement': {
        const given = [node.start, node.end, ...(node.step === null ? [] : [node.step])].map(one).join(', ')
        let name = ''
        const body = this.block(node.body, () => (name = this.#names.declare(node.variable.name)))
        return `for (let ${name} of lua.steps(${given})) {\n${body}\n}`
      }
      case 'ForGenericStatement': {
        const [iterator, ...more] = node.iterators
        const call = iterator?.type === 'CallExpression' ? iterator : undefined
        const [given, ...rest] = call?.arguments ?? []
        const name = call?.base.type === 'Identifier' ? call.base.name : ''
        if (given === undefined || more.length + rest.length > 0 || !/^i?pairs$/.test(name))
          throw without(node, 'an iterator other than pairs and ipairs')
        const over = `lua.${name}(${one(given)})`
        let names: readonly string[] = []
        const body = this.block(node.body, () => (names = this.#declare(node.variables)))
        return `for (const [${names.join(', ')}] of ${over}) {\n${body}\n}`
      }
      case 'BreakStatement':
        return 'break'
      case 'FunctionDeclaration': {
        if (!node.isLocal || node.identifier?.type !== 'Identifier') throw without(node, 'a global function')
        const name = this.#names.declare(node.identifier.name)
        return `const ${name}${this.#type} = ${this.#function(node)}`
      }
      default:
        throw without(node, node.type)
    }
  }

  #local({ variables, init }: LocalStatement): string {
    const last = init.at(-1)
    if (last !== undefined && init.length < variables.length && this.#expressions.givesSeveral(last)) {
      const given = this.#expressions.list(init)
      return `let [${this.#declare(variables).join(', ')}]${this.#several} = [${given}]`
    }
    // What is given is read before the new names hide the old ones.
    const given = variables.map((_, i) => {
      const node = init[i]
      return node === undefined ? 'undefined' : this.#expressions.one(node)
    })
    return this.#declare(variables)
      .map((name, i) => `let ${name}${this.#type} = ${given[i]}`)
      .join('\n')
  }

  #assign(target: Expression, value: string): string {
    if (target.type === 'Identifier') {
      const name = this.#names.lookup(target.name)
      if (name === undefined) throw without(target, 'a global')
      return `${name} = ${value}`
    }
    if (target.type === 'IndexExpression')
      return `lua.set(${this.#expressions.one(target.base)}, ${this.#expressions.one(target.index)}, ${value})`
    if (target.type === 'MemberExpression')
      return `lua.set(${this.#expressions.one(target.base)}, ${JSON.stringify(target.identifier.name)}, ${value})`
    throw without(target, target.type)
  }

  #if({ clauses }: IfStatement): string {
    return clauses
      .map((clause) => {
        const head = clause.type === 'ElseClause' ? '' : `if (${this.#expressions.truth(clause.condition)}) `
        return `${head}{\n${this.block(clause.body)}\n}`
      })
      .join(' else ')
  }

  #return({ arguments: given }: ReturnStatement): string {
    return this.#depth === 0 ? `return ${this.#first(given)}` : `return [${this.#expressions.list(given)}]`
  }

  #first([node]: readonly Expression[]): string {
    return node === undefined ? 'undefined' : this.#expressions.one(node)
  }

  #function(node: {
    readonly parameters: readonly Expression[]
    readonly body: readonly Statement[]
  }): string {
    this.#depth++
    let names: readonly string[] = []
    const body = this.block(node.body, () => {
      names = node.parameters.map((parameter) => {
        if (parameter.type !== 'Identifier') throw without(parameter, 'a function of any number of arguments')
        return this.#names.declare(parameter.name)
      })
    })
    this.#depth--
    return `lua.fn((${names.map((name) => `${name}${this.#type}`).join(', ')}) => {\n${body}${isLeft(node.body) ? '' : '\nreturn []'}\n})`
  }

  #declare(names: readonly Identifier[]): readonly string[] {
    return names.map(({ name }) => this.#names.declare(name))
  }

  get #several(): string {
    return this.#type === '' ? '' : `${this.#type}[]`
  }
}

/** What comes behind an unconditional return nobody reaches, and a compiler says so. */
const isLeft = (body: readonly Statement[]): boolean => body.at(-1)?.type === 'ReturnStatement'

function bound(expressions: Expressions) {
  return {
    one: (node: Expression) => expressions.one(node),
    truth: (node: Expression) => expressions.truth(node),
  }
}
