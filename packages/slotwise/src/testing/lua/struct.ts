import { num, ScriptError, type Value } from './values.js'

/** What of the library `struct` has a twin: integers of 1 to 6 bytes, floats and doubles. */
const PART = /([BbHhIi]|d|f)(\d*)/g
const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, i: 4 }

interface Part {
  readonly kind: 'double' | 'float' | 'signed' | 'unsigned'
  readonly bytes: number
}

interface Layout {
  readonly big: boolean
  readonly parts: readonly Part[]
}

export function pack(format: Value, ...values: Value[]): string {
  const { big, parts } = layoutOf(format)
  return parts.map((part, i) => bytesOf(part, num(values[i]), big).toString('latin1')).join('')
}

/** The values, then the place behind the last of them, from 1. */
export function unpackStruct(format: Value, text: Value, from: Value = 1): Value[] {
  if (typeof text !== 'string') throw new ScriptError('bad argument to unpack: string expected')
  const { big, parts } = layoutOf(format)
  let at = num(from) - 1
  const values = parts.map((part) => {
    if (at + part.bytes > text.length) throw new ScriptError('data string too short')
    const bytes = Buffer.from(text.slice(at, at + part.bytes), 'latin1')
    at += part.bytes
    return valueOf(part, bytes, big)
  })
  return [...values, at + 1]
}

function layoutOf(format: Value): Layout {
  const text = typeof format === 'string' ? format : ''
  const order = /^[<>]/.exec(text)?.[0]
  const rest = order === undefined ? text : text.slice(1)
  if (rest.replace(PART, '') !== '') throw new ScriptError(`struct format "${text}" has no twin`)
  const parts = [...rest.matchAll(PART)].map(([whole, letter = '', digits = '']): Part => {
    if (letter === 'd') return { kind: 'double', bytes: 8 }
    if (letter === 'f') return { kind: 'float', bytes: 4 }
    const bytes = digits === '' ? SIZES[letter.toLowerCase()] : Number(digits)
    if (bytes === undefined || bytes < 1 || bytes > 6)
      throw new ScriptError(`struct format "${whole}" has no twin`)
    return { kind: letter === letter.toLowerCase() ? 'signed' : 'unsigned', bytes }
  })
  return { big: order === '>', parts }
}

function bytesOf({ kind, bytes }: Part, value: number, big: boolean): Buffer {
  const made = Buffer.alloc(bytes)
  if (kind === 'double') made[big ? 'writeDoubleBE' : 'writeDoubleLE'](value)
  else if (kind === 'float') made[big ? 'writeFloatBE' : 'writeFloatLE'](value)
  else {
    // Negative numbers are written as what they are modulo the size.
    const whole = ((Math.trunc(value) % 256 ** bytes) + 256 ** bytes) % 256 ** bytes
    made[big ? 'writeUIntBE' : 'writeUIntLE'](whole, 0, bytes)
  }
  return made
}

function valueOf({ kind, bytes }: Part, from: Buffer, big: boolean): number {
  if (kind === 'double') return big ? from.readDoubleBE() : from.readDoubleLE()
  if (kind === 'float') return big ? from.readFloatBE() : from.readFloatLE()
  if (kind === 'signed') return big ? from.readIntBE(0, bytes) : from.readIntLE(0, bytes)
  return big ? from.readUIntBE(0, bytes) : from.readUIntLE(0, bytes)
}
