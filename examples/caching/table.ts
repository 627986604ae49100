import type { Comment } from './cache-aside.js'

/** Comments in memory, in the place of a database: it knows the two statements of the examples, and counts. */
export class Table {
  readonly #rows = new Map<string, Comment>()
  queries = 0

  async query(text: string, values: unknown[]): Promise<{ readonly rows: readonly Comment[] }> {
    this.queries++
    const [id, tenantId, entityId, authorId, content] = values.map(String)
    if (id === undefined || tenantId === undefined)
      throw new Error(`not a statement of the examples: ${text}`)
    const key = JSON.stringify([tenantId, id])
    if (text.trim().startsWith('SELECT'))
      return { rows: [this.#rows.get(key)].filter((row) => row !== undefined) }
    if (this.#rows.has(key)) throw new Error(`duplicate key ${id}`)
    if (entityId === undefined || authorId === undefined || content === undefined)
      throw new Error('a column is missing')
    this.#rows.set(key, { id, tenantId, entityId, authorId, content })
    return { rows: [] }
  }

  idsOf(entityId: string): string[] {
    this.queries++
    return [...this.#rows.values()].filter((row) => row.entityId === entityId).map(({ id }) => id)
  }
}
