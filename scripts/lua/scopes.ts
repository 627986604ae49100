import type { Chunk, Expression, Identifier, Node, Statement } from 'luaparse'

/** A local name: what it was given at its declaration, and later. */
export interface Binding {
  readonly init: Expression | undefined
  readonly assigned: (Expression | undefined)[]
}

/** A script with every name resolved. */
export interface Resolved {
  /** Every node but comments, in the order of the text. */
  readonly nodes: readonly Node[]
  readonly parentOf: (node: Node) => Node | undefined
  /** What a name stands for here; `undefined` for a global. */
  readonly bindingOf: (name: Identifier) => Binding | undefined
  /** The names that are read or written, rather than fields of a table or declarations. */
  readonly references: readonly Identifier[]
}

type Scope = Map<string, Binding>

/** Lua's rules of scope: a name is known from behind its declaration to the end of its block. */
export function resolve(chunk: Chunk): Resolved {
  const nodes: Node[] = []
  const references: Identifier[] = []
  const parents = new Map<Node, Node>()
  const bindings = new Map<Identifier, Binding>()
  const scopes: Scope[] = []

  const declare = (name: Identifier, init?: Expression) => {
    scopes.at(-1)?.set(name.name, { init, assigned: [] })
  }
  const lookup = (name: string) => scopes.findLast((scope) => scope.has(name))?.get(name)

  const reference = (node: Identifier) => {
    references.push(node)
    const found = lookup(node.name)
    if (found !== undefined) bindings.set(node, found)
  }
  const block = (body: readonly Statement[], parent: Node, before = () => {}, after = () => {}) => {
    scopes.push(new Map())
    before()
    for (const statement of body) visit(statement, parent)
    after()
    scopes.pop()
  }
  const all = (children: readonly (Node | null | undefined)[], parent: Node) => {
    for (const child of children) if (child) visit(child, parent)
  }

  const visit = (node: Node, parent: Node | undefined): void => {
    nodes.push(node)
    if (parent !== undefined) parents.set(node, parent)
    switch (node.type) {
      case 'Identifier':
        return reference(node)
      case 'Chunk':
      case 'DoStatement':
      case 'ElseClause':
        return block(node.body, node)
      case 'LocalStatement':
        all(node.init, node)
        node.variables.forEach((name, i) => {
          declare(name, node.init[i])
        })
        return
      case 'AssignmentStatement':
        all(node.init, node)
        all(node.variables, node)
        node.variables.forEach((target, i) => {
          if (target.type === 'Identifier') bindings.get(target)?.assigned.push(node.init[i])
        })
        return
      case 'FunctionDeclaration':
        if (node.isLocal && node.identifier?.type === 'Identifier') declare(node.identifier)
        else all([node.identifier], node)
        return block(node.body, node, () => {
          for (const name of node.parameters) if (name.type === 'Identifier') declare(name)
        })
      case 'IfClause':
      case 'ElseifClause':
      case 'WhileStatement':
        visit(node.condition, node)
        return block(node.body, node)
      case 'RepeatStatement':
        return block(node.body, node, undefined, () => visit(node.condition, node))
      case 'ForNumericStatement':
        all([node.start, node.end, node.step], node)
        return block(node.body, node, () => declare(node.variable))
      case 'ForGenericStatement':
        all(node.iterators, node)
        return block(node.body, node, () => {
          for (const name of node.variables) declare(name)
        })
      default:
        return all(childrenOf(node), node)
    }
  }
  visit(chunk, undefined)
  return {
    nodes,
    references,
    parentOf: (node) => parents.get(node),
    bindingOf: (name) => bindings.get(name),
  }
}

function childrenOf(node: Node): readonly (Node | null)[] {
  switch (node.type) {
    case 'ReturnStatement':
      return node.arguments
    case 'IfStatement':
      return node.clauses
    case 'CallStatement':
      return [node.expression]
    case 'TableKey':
      return [node.key, node.value]
    case 'TableKeyString':
    case 'TableValue':
      return [node.value]
    case 'TableConstructorExpression':
      return node.fields
    case 'UnaryExpression':
      return [node.argument]
    case 'BinaryExpression':
    case 'LogicalExpression':
      return [node.left, node.right]
    case 'MemberExpression':
      return [node.base]
    case 'IndexExpression':
      return [node.base, node.index]
    case 'CallExpression':
      return [node.base, ...node.arguments]
    case 'TableCallExpression':
      return [node.base, node.arguments]
    case 'StringCallExpression':
      return [node.base, node.argument]
    default:
      return []
  }
}
