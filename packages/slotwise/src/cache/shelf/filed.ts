import { UncacheableValueError } from '../../errors.js'
import type { Serializer } from '../serializer.js'

/** A value as it lies on a shelf. */
export interface Filed {
  /** What it is filed under, where its key has only a hash of that. */
  readonly parts: readonly string[] | undefined
  readonly value: unknown
}

const TEXT = 0
/** Text with halves of surrogate pairs in it, which UTF-8 cannot hold. */
const TEXT_UTF16 = 1
const BYTES = 2
const JSON_TEXT = 3
/** With the parts before it, as JSON, behind their length in four bytes. */
const LABELLED = 0x80

/** Text and bytes as they are, plain data as JSON. */
export const filed: Serializer = {
  id: 4,
  encode(input) {
    const { parts, value } = input as Filed
    const [kind, payload] = encoded(value)
    if (parts === undefined) return Buffer.concat([Buffer.of(kind), payload])
    const label = Buffer.from(JSON.stringify(parts))
    const head = Buffer.alloc(5)
    head[0] = kind | LABELLED
    head.writeUInt32BE(label.byteLength, 1)
    return Buffer.concat([head, label, payload])
  },
  decode(bytes): Filed {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const first = buffer.readUInt8(0)
    if ((first & LABELLED) === 0) return { parts: undefined, value: decoded(first, buffer.subarray(1)) }
    const from = 5 + buffer.readUInt32BE(1)
    const parts = JSON.parse(buffer.toString('utf8', 5, from)) as readonly string[]
    return { parts, value: decoded(first & ~LABELLED, buffer.subarray(from)) }
  },
}

function encoded(value: unknown): readonly [kind: number, payload: Uint8Array] {
  if (typeof value === 'string') {
    return /\p{Surrogate}/u.test(value)
      ? [TEXT_UTF16, Buffer.from(value, 'utf16le')]
      : [TEXT, Buffer.from(value)]
  }
  if (value instanceof ArrayBuffer) return [BYTES, new Uint8Array(value)]
  if (ArrayBuffer.isView(value)) {
    return [BYTES, new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]
  }
  const text = isPlain(value) ? (JSON.stringify(value) as string | undefined) : undefined
  if (text !== undefined) return [JSON_TEXT, Buffer.from(text)]
  throw new UncacheableValueError(
    `the value cannot be stored: it is neither text nor bytes nor plain data, but ${Object.prototype.toString.call(value)}`,
  )
}

function decoded(kind: number, payload: Buffer): unknown {
  if (kind === TEXT) return payload.toString('utf8')
  if (kind === TEXT_UTF16) return payload.toString('utf16le')
  // A copy: the receiver's own, and it does not keep all that came with it from the network.
  if (kind === BYTES) return Buffer.from(payload)
  if (kind === JSON_TEXT) return JSON.parse(payload.toString('utf8'))
  throw new TypeError(`a value of the unknown kind ${kind}`)
}

/** What JSON makes nothing of would come back as something else: a Blob as `{}`. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (Array.isArray(value) || typeof (value as { toJSON?: unknown }).toJSON === 'function') return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
