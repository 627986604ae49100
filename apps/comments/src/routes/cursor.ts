import { z } from 'zod'
import { Problem } from '../problems.js'
import type { Position } from '../repositories/entities.js'

/** Which list a cursor belongs to, so that one of another list is refused and not misread. */
type List = 'entities' | 'comments'

const Parts = z.tuple([
  z.enum(['entities', 'comments']),
  z.iso.datetime(),
  // oxlint-disable-next-line no-control-regex
  z.string().regex(/^[^\u0000\p{Cs}]{1,200}$/u),
])

/** Opaque to callers: what is in it may change. It gives no rights, so it needs no signature. */
export function writeCursor(list: List, position: Position | undefined): string | null {
  if (position === undefined) return null
  return Buffer.from(JSON.stringify([list, position.createdAt, position.id])).toString('base64url')
}

export function readCursor(list: List, cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return undefined
  const { data } = Parts.safeParse(parsed(cursor))
  if (data?.[0] === list) return { createdAt: data[1], id: data[2] }
  throw new Problem('INVALID_REQUEST', 'The cursor is not one of this list.', {
    errors: [{ at: 'query.cursor', message: 'must be the nextCursor of a page of the same list' }],
  })
}

function parsed(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
}
