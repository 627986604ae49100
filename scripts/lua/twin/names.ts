/** Words that a local of Lua may be called, and a variable of TypeScript may not; those the twin itself uses. */
const TAKEN = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends
   finally for function if implements import in instanceof interface let lua new null package private protected public
   redis return static super switch this throw try typeof undefined var void while with yield`.split(/\s+/),
)

/**
 * What each local of a script is called in its twin. Lua lets a block declare the same name twice, and a declaration
 * still see the one before it; so every declaration gets a name that the whole script has only once.
 */
export class Names {
  readonly #scopes: Map<string, string>[] = []
  readonly #used = new Map<string, number>()

  within<R>(body: () => R): R {
    this.#scopes.push(new Map())
    try {
      return body()
    } finally {
      this.#scopes.pop()
    }
  }

  declare(name: string): string {
    const count = (this.#used.get(name) ?? 0) + 1
    this.#used.set(name, count)
    const unique = count === 1 && !TAKEN.has(name) ? name : `${name}$${count}`
    this.#scopes.at(-1)?.set(name, unique)
    return unique
  }

  /** `undefined` for a global. */
  lookup(name: string): string | undefined {
    return this.#scopes.findLast((scope) => scope.has(name))?.get(name)
  }
}
