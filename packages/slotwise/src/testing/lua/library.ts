import { exactText, formatted, textOf } from './format.js'
import { len, num, ScriptError, Table, type Value } from './values.js'

// Loops.

/** The places of a counting loop; its bounds are read once. */
export function* steps(from: Value, to: Value, by: Value = 1): Generator<number> {
  const [end, step] = [num(to), num(by)]
  for (let at = num(from); step > 0 ? at <= end : at >= end; at += step) yield at
}

export function* ipairs(given: Value): Generator<[number, Value]> {
  const { list } = tableOf(given)
  for (let i = 0; list[i] !== undefined; i++) yield [i + 1, list[i]]
}

export function pairs(given: Value): [Value, Value][] {
  return [...tableOf(given).entries()]
}

// Numbers.

export const abs = (value: Value): number => Math.abs(num(value))
export const ceil = (value: Value): number => Math.ceil(num(value))
export const floor = (value: Value): number => Math.floor(num(value))
export const max = (...values: Value[]): number => Math.max(...values.map(num))
export const min = (...values: Value[]): number => Math.min(...values.map(num))

// Text.

export function concat(left: Value, right: Value): string {
  return piece(left) + piece(right)
}

export function tostring(value: Value): string {
  return textOf(value)
}

export function format(pattern: Value, ...values: Value[]): string {
  return formatted(text(pattern), values)
}

/** From and to count from 1, or from the end where they are negative. */
export function sub(value: Value, from: Value = 1, to: Value = -1): string {
  const whole = text(value)
  const place = (at: number): number => (at < 0 ? Math.max(0, whole.length + at + 1) : at)
  return whole.slice(Math.max(0, place(num(from)) - 1), place(num(to)))
}

export function byte(value: Value, at: Value = 1): Value {
  const code = sub(value, at, at).charCodeAt(0)
  return Number.isNaN(code) ? undefined : code
}

/** Where text begins and ends in another, from a place on; as it stands, for there are no patterns here. */
export function find(value: Value, wanted: Value, from: Value = 1, plain: Value = false): Value[] {
  if (plain !== true) throw new ScriptError('string.find has a twin only for plain text')
  const at = text(value).indexOf(text(wanted), Math.max(0, num(from) - 1))
  return at < 0 ? [undefined] : [at + 1, at + text(wanted).length]
}

export const char = (...codes: Value[]): string => String.fromCharCode(...codes.map(num))
export const lower = (value: Value): string =>
  text(value).replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
export const upper = (value: Value): string =>
  text(value).replace(/[a-z]+/g, (letters) => letters.toUpperCase())
export const rep = (value: Value, times: Value): string => text(value).repeat(Math.max(0, num(times)))

// Tables.

export function join(given: Value, between: Value = ''): string {
  return tableOf(given).list.map(piece).join(text(between))
}

export function insert(given: Value, ...rest: Value[]): void {
  const { list } = tableOf(given)
  const [at, value] = rest.length > 1 ? [num(rest[0]), rest[1]] : [list.length + 1, rest[0]]
  list.splice(at - 1, 0, value)
}

export function remove(given: Value, at: Value = len(given)): Value {
  return tableOf(given).list.splice(num(at) - 1, 1)[0]
}

export function unpack(given: Value): Value[] {
  return [...tableOf(given).list]
}

// What a script answers with, and how it fails.

export function errorReply(message: Value): Table {
  const reply = new Table()
  reply.set('err', text(message))
  return reply
}

export function statusReply(message: Value): Table {
  const reply = new Table()
  reply.set('ok', text(message))
  return reply
}

export function error(message: Value): never {
  throw new ScriptError(message instanceof Table ? textOf(message.get('err')) : textOf(message))
}

function tableOf(value: Value): Table {
  if (value instanceof Table) return value
  throw new ScriptError('bad argument: table expected')
}

/** Numbers pass for text where text is asked for. */
function text(value: Value): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return exactText(value, 14)
  throw new ScriptError('bad argument: string expected')
}

function piece(value: Value): string {
  if (typeof value === 'string' || typeof value === 'number') return text(value)
  throw new ScriptError('attempt to concatenate what is neither text nor a number')
}
