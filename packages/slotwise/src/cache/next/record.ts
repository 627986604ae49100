import type { Stamped } from './tags.js'

/** What Next hands over, as fields; binary ones, and maps of such, are kept as they are. */
export type Fields = Readonly<Record<string, unknown>>

/** What is stored of an entry. */
export interface Entry extends Stamped {
  /** What is said of it. */
  readonly about: unknown
  /** `null` is "not found". */
  readonly fields: Fields | null
}

/** How a field lies behind the head: text or bytes of a length, a map of bytes, or in the head itself. */
type Laid =
  | readonly ['text' | 'bytes', length: number]
  | readonly ['map', entries: readonly (readonly [name: string, length: number])[]]
  | readonly ['json', value: unknown]

const HEAD = 4

/** One run of bytes: the length of the head, the head as JSON, then the large fields as they are. */
export function packed({ fields, ...rest }: Entry): Buffer {
  const bodies: Uint8Array[] = []
  const lay = (bytes: Uint8Array): number => bodies.push(bytes) && bytes.byteLength
  const laid = Object.entries(fields ?? {}).flatMap(([name, value]): [string, Laid][] => {
    if (value === undefined) return []
    if (typeof value === 'string') return [[name, ['text', lay(Buffer.from(value))]]]
    if (value instanceof Uint8Array) return [[name, ['bytes', lay(value)]]]
    if (value instanceof Map) {
      const entries = [...(value as ReadonlyMap<string, Uint8Array>)]
      return [[name, ['map', entries.map(([key, bytes]) => [key, lay(bytes)] as const)]]]
    }
    return [[name, ['json', value]]]
  })
  const head = Buffer.from(JSON.stringify({ ...rest, laid: fields === null ? null : laid }))
  const length = Buffer.alloc(HEAD)
  length.writeUInt32BE(head.byteLength)
  return Buffer.concat([length, head, ...bodies])
}

/** `undefined` for what is not such a run: an older format, or broken. */
export function unpacked(bytes: unknown): Entry | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined
  try {
    let at = HEAD + bytes.readUInt32BE(0)
    const take = (length: number): Buffer => {
      if (length > bytes.byteLength - at) throw new RangeError('a field ends behind the entry')
      at += length
      return bytes.subarray(at - length, at)
    }
    const { laid, ...rest } = JSON.parse(bytes.toString('utf8', HEAD, at)) as Omit<Entry, 'fields'> & {
      readonly laid: readonly [string, Laid][] | null
    }
    const fieldOf = (one: Laid): unknown => {
      if (one[0] === 'text') return take(one[1]).toString('utf8')
      if (one[0] === 'bytes') return take(one[1])
      if (one[0] === 'map') return new Map(one[1].map(([key, length]) => [key, take(length)]))
      return one[1]
    }
    const fields = laid && Object.fromEntries(laid.map(([name, one]) => [name, fieldOf(one)]))
    return { ...rest, fields }
  } catch {
    return undefined
  }
}
