import { createHash } from 'node:crypto'

/**
 * What a row that is written behind is called: ids of ours are longer than a journal takes. The migration that begins counts of
 * views makes the same of an entity's id.
 */
export const rowId = (...ids: readonly string[]): string =>
  createHash('sha256')
    .update(ids.length === 1 ? (ids[0] ?? '') : JSON.stringify(ids))
    .digest('hex')
    .slice(0, 32)
