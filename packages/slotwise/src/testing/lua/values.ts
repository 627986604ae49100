/** What a script can hold. Text is its bytes, one a character; `nil` is `undefined`. */
export type Value = undefined | boolean | number | string | Table | Fn

/** A function that a script declares. */
export type Fn = (...given: Value[]) => Value[]

/** What ends a script, as an error that Redis would raise inside it. */
export class ScriptError extends Error {}

/** A table: what is listed from 1 on without a gap, and everything else. */
export class Table {
  readonly list: Value[] = []
  readonly #rest = new Map<Value, Value>()

  get(key: Value): Value {
    if (typeof key === 'number') {
      const listed = this.list[key - 1]
      if (listed !== undefined) return listed
    }
    return this.#rest.get(key)
  }

  set(key: Value, value: Value): void {
    if (key === undefined || Number.isNaN(key)) throw new ScriptError('table index is nil or no number')
    if (typeof key === 'number' && Number.isInteger(key) && key >= 1 && key <= this.list.length + 1) {
      this.#rest.delete(key)
      this.#setListed(key, value)
    } else if (value === undefined) {
      this.#rest.delete(key)
    } else {
      this.#rest.set(key, value)
    }
  }

  *entries(): Generator<[Value, Value]> {
    for (const [i, value] of this.list.entries()) yield [i + 1, value]
    yield* this.#rest
  }

  #setListed(key: number, value: Value): void {
    if (value !== undefined) {
      this.list[key - 1] = value
      // What was written beyond the gap belongs to the list once the gap is closed.
      for (let next = this.list.length + 1; this.#rest.has(next); next++) {
        this.list.push(this.#rest.get(next))
        this.#rest.delete(next)
      }
    } else if (key <= this.list.length) {
      const behind = this.list.splice(key - 1).slice(1)
      behind.forEach((one, i) => {
        this.#rest.set(key + 1 + i, one)
      })
    }
  }
}

export function table(listed: readonly Value[], named: readonly (readonly [Value, Value])[] = []): Table {
  const made = new Table()
  listed.forEach((value, i) => {
    if (value !== undefined) made.set(i + 1, value)
  })
  for (const [key, value] of named) made.set(key, value)
  return made
}

export function index(value: Value, key: Value): Value {
  if (value instanceof Table) return value.get(key)
  throw new ScriptError(`attempt to index a ${type(value)} value`)
}

export function set(target: Value, key: Value, value: Value): void {
  if (!(target instanceof Table)) throw new ScriptError(`attempt to index a ${type(target)} value`)
  target.set(key, value)
}

export function fn(body: Fn): Fn {
  return body
}

export function invoke(value: Value, given: Value[]): Value[] {
  if (typeof value === 'function') return value(...given)
  throw new ScriptError(`attempt to call a ${type(value)} value`)
}

export function type(value: Value): string {
  if (value === undefined) return 'nil'
  return value instanceof Table ? 'table' : typeof value
}

export function yes(value: Value): boolean {
  return value !== undefined && value !== false
}

export function and(left: Value, right: () => Value): Value {
  return yes(left) ? right() : left
}

export function or(left: Value, right: () => Value): Value {
  return yes(left) ? left : right()
}

export function eq(left: Value, right: Value): boolean {
  return left === right
}

/** A number, or the number that a text is, as arithmetic takes them. */
export function num(value: Value): number {
  const number = typeof value === 'number' ? value : typeof value === 'string' ? parsed(value) : undefined
  if (number !== undefined) return number
  throw new ScriptError(`attempt to perform arithmetic on a ${type(value)} value`)
}

export function tonumber(value: Value, base?: Value): Value {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return undefined
  if (base === undefined || base === 10) return parsed(value)
  const digits = Number.parseInt(value.trim(), num(base))
  return Number.isNaN(digits) ? undefined : digits
}

export function mod(left: number, right: number): number {
  return left - Math.floor(left / right) * right
}

export const lt = (left: Value, right: Value): boolean => compared(left, right) < 0
export const le = (left: Value, right: Value): boolean => compared(left, right) <= 0
export const gt = (left: Value, right: Value): boolean => compared(left, right) > 0
export const ge = (left: Value, right: Value): boolean => compared(left, right) >= 0

/** NaN where neither is before the other. */
function compared(left: Value, right: Value): number {
  if (typeof left === 'number' && typeof right === 'number') return left === right ? 0 : left - right
  if (typeof left === 'string' && typeof right === 'string') return left < right ? -1 : Number(left > right)
  throw new ScriptError(`attempt to compare ${type(left)} with ${type(right)}`)
}

export function len(value: Value): number {
  if (typeof value === 'string') return value.length
  if (value instanceof Table) return value.list.length
  throw new ScriptError(`attempt to get length of a ${type(value)} value`)
}

function parsed(text: string): number | undefined {
  const trimmed = text.trim()
  return /^[-+]?(0[xX][\da-fA-F]+|(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)$/.test(trimmed)
    ? trimmed.startsWith('-')
      ? -Number(trimmed.slice(1))
      : Number(trimmed.replace('+', ''))
    : undefined
}
