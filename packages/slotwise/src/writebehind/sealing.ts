import { UnexpectedReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { Reply } from '../redis/port.js'
import { defineScript } from '../redis/script.js'
import type { Copies } from './copies.js'
import type { Journal } from './journal.js'
import openSource from './open.lua.js'
import remainderSource from './remainder.lua.js'
import sealSource from './seal.lua.js'

const seal = defineScript(sealSource, { repeat: 'safe', decode: String })
const open = defineScript(openSource, { repeat: 'safe', decode: String })
const remainder = defineScript(remainderSource, { repeat: 'safe', decode: remainderOf })

/** What is left of a journal that takes no more lines. */
export interface Remainder {
  readonly belongsTo: string
  readonly lines: number
  readonly bytes: number
  /** Answers that may still be asked for again, under an `idempotencyKey`. */
  readonly marks: number
  /** Until the first of them may go, in milliseconds. */
  readonly marksForMs: number
}

/** What a journal says that it belongs to while it takes no lines: the layout that comes. */
export const sealedFor = (layout: string): string => `>${layout}`

/**
 * It takes no more lines until the layout that comes has begun, whichever replica takes its primary's place. What it belongs
 * to now.
 */
export async function sealJournal(
  { key }: Journal,
  layout: string,
  copies: Copies,
  options: CallOptions,
): Promise<string> {
  return String(await copies.call(seal.call({ partition: key }, { layout }), options))
}

/** It takes lines of the layout. What it belongs to now: something else where it had not been sealed, or later ones have begun. */
export async function openJournal(
  { port, key }: Journal,
  layout: string,
  options: CallOptions,
): Promise<string> {
  return await open.run(port, { partition: key }, { layout }, options)
}

/** Once nothing is left of a sealed journal its rows may lie elsewhere. */
export async function remainderOfJournal({ port, key }: Journal, options: CallOptions): Promise<Remainder> {
  return await remainder.run(port, { partition: key }, {}, options)
}

function remainderOf(reply: Reply): Remainder {
  const [belongsTo, ...numbers] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  const [lines, bytes, marks, marksForMs] = numbers.map(Number)
  if (lines === undefined || bytes === undefined || marks === undefined || marksForMs === undefined) {
    throw new UnexpectedReplyError('a journal was answered with something else')
  }
  return { belongsTo: String(belongsTo), lines, bytes, marks, marksForMs }
}
