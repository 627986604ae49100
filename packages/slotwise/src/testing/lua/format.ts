import { num, ScriptError, Table, type, type Value } from './values.js'

/** A number with so many significant digits, as C prints it by `%.14g`. */
export function exactText(value: number, digits: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [mantissa = '', exponent = '0'] = rounded(value, digits).split('e')
  const power = Number(exponent)
  if (power >= -4 && power < digits) {
    // With all its digits it is written out as it stands.
    const [whole = '', rest = ''] = mantissa.split('.')
    const all = whole + rest
    const sign = all.startsWith('-') ? '-' : ''
    const plain = all.slice(sign.length)
    return power >= 0
      ? shortened(`${sign}${plain.slice(0, power + 1)}.${plain.slice(power + 1)}`)
      : shortened(`${sign}0.${'0'.repeat(-power - 1)}${plain}`)
  }
  const sign = power < 0 ? '-' : '+'
  return `${shortened(mantissa)}e${sign}${String(Math.abs(power)).padStart(2, '0')}`
}

/** C rounds what lies exactly in the middle to the even neighbour, JavaScript away from zero. */
function rounded(value: number, digits: number): string {
  const near = value.toExponential(digits - 1)
  const exact = value.toExponential(60)
  const [mantissa = '', exponent = ''] = exact.split('e')
  // A sign, one digit, the point, and those behind it.
  const end = digits + 1 + Number(value < 0)
  const isMiddle = /^50*$/.test(mantissa.slice(end))
  const isEven = /[02468]$/.test(mantissa.slice(0, end))
  return isMiddle && isEven ? `${mantissa.slice(0, end)}e${exponent}` : near
}

const shortened = (text: string): string =>
  text.includes('.') ? text.replace(/0+$/, '').replace(/\.$/, '') : text

/** As `tostring` has it. */
export function textOf(value: Value): string {
  if (value === undefined) return 'nil'
  if (typeof value === 'number') return exactText(value, 14)
  if (value instanceof Table) return 'table'
  return typeof value === 'function' ? 'function' : String(value)
}

const PLACE = /%([-0]*)(\d*)(?:\.(\d+))?([dfgsxX%])/g

/** `string.format`, with `%d`, `%f`, `%g`, `%s`, `%x` and `%%`. */
export function formatted(pattern: string, values: readonly Value[]): string {
  if (/%/.test(pattern.replace(PLACE, ''))) throw new ScriptError(`format "${pattern}" has no twin`)
  const rest = values.values()
  const next = (): Value => {
    const { value, done } = rest.next()
    if (done === true) throw new ScriptError('bad argument to format: no value')
    return value
  }
  return pattern.replace(
    PLACE,
    (_, flags: string, width: string, digits: string | undefined, kind: string) => {
      if (kind === '%') return '%'
      const text = one(kind, digits === undefined ? undefined : Number(digits), next())
      if (flags.includes('-')) return text.padEnd(Number(width))
      if (!flags.includes('0') || kind === 's') return text.padStart(Number(width))
      const sign = text.startsWith('-') ? '-' : ''
      return sign + text.slice(sign.length).padStart(Number(width) - sign.length, '0')
    },
  )
}

function one(kind: string, digits: number | undefined, value: Value): string {
  if (kind === 's' && typeof value !== 'string' && typeof value !== 'number')
    throw new ScriptError(`bad argument to format: string expected, got ${type(value)}`)
  if (kind === 's') return textOf(value).slice(0, digits)
  const number = num(value)
  if (kind === 'd') return String(BigInt(Math.trunc(number)))
  if (kind === 'f') return fixed(number, digits ?? 6)
  if (kind === 'g') return exactText(number, digits ?? 6)
  const hex = BigInt(Math.trunc(number)).toString(16)
  return kind === 'x' ? hex : hex.toUpperCase()
}

/** C rounds what lies in the middle to the even neighbour, and writes large numbers out. */
function fixed(value: number, digits: number): string {
  if (digits > 0 || !Number.isFinite(value))
    return Number.isFinite(value) ? value.toFixed(digits) : exactText(value, 1)
  const down = Math.floor(value)
  const even = value - down === 0.5 ? down + Math.abs(down % 2) : Math.round(value)
  return Object.is(even, -0) ? '-0' : String(BigInt(even))
}
