import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { UncacheableValueError } from '../errors.js'
import { randomTag } from '../random.js'
import type { StandardSchema } from './schema.js'
import type { Serializer } from './serializer.js'

/**
 * What is stored of a value. A format's number is never given a second meaning, and a reader that does not know one
 * takes the entry for absent, so that old and new processes can share a cache.
 *
 * | bytes | |
 * |---|---|
 * | 0 | format, 2 |
 * | 1 | id of the serializer |
 * | 2 | 1 if the payload is deflated |
 * | 3–4 | length of the header, so that later versions can make it longer |
 * | 5–12 | version, random: no two entries have the same |
 * | 13–18 | for how long it is fresh, in ms |
 * | 19–24 | for how long it is kept |
 * | 25–28 | how long it took to load |
 * | … | payload |
 *
 * An entry that bears tags is of format 3, which those who do not check tags do not take for an entry. Its header goes on:
 *
 * | bytes | |
 * |---|---|
 * | 29 | number of tags |
 * | 2, n, 8 | of each: length of its path, its path in UTF-8, its version |
 */
const FORMAT = 2
const TAGGED = 3
const DEFLATED = 1
const HEADER = 29
const TAG_VERSION = 8
const VERSION = { from: 5, to: 13 }

/** What an entry says of itself. */
export interface Header {
  readonly freshMs: number
  readonly keptMs: number
  readonly loadMs: number
}

/** A tag that an entry bears, and the version that the tag had before the value was loaded. */
export interface Stamp {
  readonly path: string
  /** Its bytes, as Latin-1. */
  readonly version: string
}

/** An entry, read: a value shared with nobody. */
export interface Decoded {
  readonly header: Header
  readonly value: unknown
  readonly stamps: readonly Stamp[]
}

const NO_STAMPS: readonly Stamp[] = []

/** How a cache writes and reads its entries. */
export interface CodecOptions {
  readonly serializer: Serializer
  readonly schema: StandardSchema<unknown> | undefined
  readonly compressOverBytes: number
  readonly maxValueBytes: number
}

/** Writes values as entries, and reads them. */
export class Codec {
  readonly #options: CodecOptions

  constructor(options: CodecOptions) {
    this.#options = options
  }

  /**
   * The payload of a value: what {@link wrapped} makes an entry of.
   *
   * @throws UncacheableValueError it cannot be represented
   */
  payload(value: unknown): Uint8Array {
    if (value === undefined) {
      throw new UncacheableValueError('the value cannot be cached: it is undefined; use null for "not found"')
    }
    try {
      return this.#options.serializer.encode(value)
    } catch (cause) {
      if (cause instanceof UncacheableValueError) throw cause
      throw new UncacheableValueError('the value cannot be cached: the serializer cannot represent it', {
        cause,
      })
    }
  }

  /** Whether it is small enough to be stored. */
  fits(payload: Uint8Array): boolean {
    return payload.byteLength <= this.#options.maxValueBytes
  }

  /** The entry to store, or `undefined` where it would be larger than allowed. */
  wrapped(
    payload: Uint8Array,
    { freshMs, keptMs, loadMs }: Header,
    stamps: readonly Stamp[] = NO_STAMPS,
  ): Buffer | undefined {
    const { serializer, compressOverBytes } = this.#options
    if (!this.fits(payload)) return undefined
    const small = payload.byteLength > compressOverBytes ? deflated(payload) : undefined
    const body = small ?? payload
    const tags = stamps.length === 0 ? undefined : stampsInBytes(stamps)
    const length = HEADER + (tags?.length ?? 0)
    const bytes = Buffer.allocUnsafe(length + body.byteLength)
    bytes[0] = tags === undefined ? FORMAT : TAGGED
    bytes[1] = serializer.id
    bytes[2] = small === undefined ? 0 : DEFLATED
    bytes.writeUInt16BE(length, 3)
    bytes.set(randomTag(VERSION.to - VERSION.from), VERSION.from)
    bytes.writeUIntBE(freshMs, 13, 6)
    bytes.writeUIntBE(keptMs, 19, 6)
    bytes.writeUInt32BE(Math.min(Math.round(loadMs), 0xffff_ffff), 25)
    if (tags !== undefined) bytes.set(tags, HEADER)
    bytes.set(body, length)
    return bytes
  }

  /** `undefined` if the bytes are of an unknown format, of another serializer, broken, or not as the schema wants them. */
  read(bytes: Buffer): Decoded | undefined | Promise<Decoded | undefined> {
    const { serializer, maxValueBytes } = this.#options
    const format = bytes[0]
    if (bytes.length < HEADER || (format !== FORMAT && format !== TAGGED)) return undefined
    if (bytes[1] !== serializer.id) return undefined
    const length = bytes.readUInt16BE(3)
    if (length < HEADER || length > bytes.length) return undefined
    try {
      const body = bytes.subarray(length)
      // A payload that claims to be larger than anything that is stored here was not stored here.
      const payload =
        bytes[2] === DEFLATED ? inflateRawSync(body, { maxOutputLength: Math.max(1, maxValueBytes) }) : body
      const stamps = format === TAGGED ? stampsOf(bytes.subarray(HEADER, length)) : NO_STAMPS
      return this.#checked(headerOf(bytes), serializer.decode(payload), stamps)
    } catch {
      return undefined
    }
  }

  /**
   * The value that readers will get of this payload.
   *
   * @throws UncacheableValueError the schema would not let it pass
   */
  async reread(payload: Uint8Array): Promise<unknown> {
    const decoded = await this.#checked(
      { freshMs: 0, keptMs: 0, loadMs: 0 },
      this.#options.serializer.decode(payload),
    )
    if (decoded !== undefined) return decoded.value
    throw new UncacheableValueError(
      'the value cannot be cached: what is read back is not as the schema wants it',
    )
  }

  #checked(
    header: Header,
    value: unknown,
    stamps: readonly Stamp[] = NO_STAMPS,
  ): Decoded | undefined | Promise<Decoded | undefined> {
    const { schema } = this.#options
    if (schema === undefined) return { header, value, stamps }
    const result = schema['~standard'].validate(value)
    return result instanceof Promise
      ? result
          .then((late) => (late.issues === undefined ? { header, value: late.value, stamps } : undefined))
          .catch(() => undefined)
      : result.issues === undefined
        ? { header, value: result.value, stamps }
        : undefined
  }
}

function stampsInBytes(stamps: readonly Stamp[]): Buffer {
  const parts: Uint8Array[] = [Uint8Array.of(stamps.length)]
  for (const { path, version } of stamps) {
    const text = Buffer.from(path)
    const length = Buffer.allocUnsafe(2)
    length.writeUInt16BE(text.length)
    parts.push(length, text, Buffer.from(version, 'latin1'))
  }
  return Buffer.concat(parts)
}

/** @throws RangeError the bytes are broken */
function stampsOf(bytes: Buffer): readonly Stamp[] {
  const stamps: Stamp[] = []
  let at = 1
  for (let left = bytes.readUInt8(0); left > 0; left--) {
    const from = at + 2
    const to = from + bytes.readUInt16BE(at)
    at = to + TAG_VERSION
    if (at > bytes.length) throw new RangeError('a tag ends behind its header')
    stamps.push({ path: bytes.toString('utf8', from, to), version: bytes.toString('latin1', to, at) })
  }
  return stamps
}

/** The version of an entry, also of one that cannot be read. */
export function versionOf(bytes: Buffer): Buffer {
  return bytes.subarray(VERSION.from, VERSION.to)
}

/** For how long an entry that was just made is to be kept. */
export function keptMsOf(entry: Buffer): number {
  return entry.readUIntBE(19, 6)
}

function headerOf(bytes: Buffer): Header {
  return {
    freshMs: bytes.readUIntBE(13, 6),
    keptMs: keptMsOf(bytes),
    loadMs: bytes.readUInt32BE(25),
  }
}

/** Level 1: nearly as small as the best, in a fraction of its time. `undefined` where it gains nothing. */
function deflated(payload: Uint8Array): Buffer | undefined {
  const small = deflateRawSync(payload, { level: constants.Z_BEST_SPEED })
  return small.byteLength < payload.byteLength ? small : undefined
}
