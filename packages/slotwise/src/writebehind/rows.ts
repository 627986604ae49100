import { createHash } from 'node:crypto'
import { ConfigurationError } from '../errors.js'
import type { Id } from '../keys.js'
import { shown } from '../options.js'

/** What is to become of one row: its latest state, or that it goes. */
export type Row<T> =
  | { readonly id: RowId; readonly tenant?: string; readonly deleted: false; readonly value: T }
  | { readonly id: RowId; readonly tenant?: string; readonly deleted: true }

/** The id of a row as it was given, its parts as text. */
export type RowId = string | readonly string[]

/** Whose row it is. */
export interface RowName {
  readonly id: RowId
  readonly tenant?: string
}

/** So many bytes of a journal line at most are its row's name. */
const LONGEST = 512

/** A row's name in a journal. An id of one part is the same as its part, and `7` as `'7'`, as in keys. */
export function nameOf(id: Id, tenant: string | undefined): string {
  const given: readonly unknown[] = typeof id === 'string' ? [id] : Array.isArray(id) ? id : []
  const parts = given.map(partOf)
  if (parts.length === 0 || parts.some((part) => part === '')) {
    throw new ConfigurationError(`an id must not be empty, nor a part of one; got ${shown(id)}`)
  }
  const name = JSON.stringify(tenant === undefined ? parts : { tenant, parts })
  if (Buffer.byteLength(name) <= LONGEST) return name
  throw new ConfigurationError(`an id may take ${LONGEST} bytes, this one takes ${Buffer.byteLength(name)}`)
}

function partOf(part: unknown): string {
  if (typeof part === 'string' || typeof part === 'bigint' || Number.isSafeInteger(part)) return String(part)
  throw new ConfigurationError(`a part of an id must be text or a whole number, got ${shown(part)}`)
}

/**
 * By what a change of a field of one row is known when it comes again. Keys are the callers' own: those for two rows of one
 * partition may be the same.
 */
export function markOf(name: string, field: string, idempotencyKey: string): string {
  return createHash('sha256')
    .update(JSON.stringify([name, field, idempotencyKey]))
    .digest('base64url')
}

/** Which dead letters are meant: those of the rows given, or all that may be seen. */
export function wantedLetters(
  ids: readonly Id[] | undefined,
  tenant: string | undefined,
): (name: string) => boolean {
  const names = ids && new Set(ids.map((id) => nameOf(id, tenant)))
  return (name) => names?.has(name) ?? (tenant === undefined || rowOf(name).tenant === tenant)
}

/** The reverse of {@link nameOf}. */
export function rowOf(name: string): RowName {
  const given = JSON.parse(name) as readonly string[] | { tenant: string; parts: readonly string[] }
  const { tenant, parts } = 'parts' in given ? given : { tenant: undefined, parts: given }
  const only = parts.length === 1 ? parts[0] : undefined
  const id = only ?? parts
  return tenant === undefined ? { id } : { id, tenant }
}
