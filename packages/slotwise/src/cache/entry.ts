import { randomFillSync } from 'node:crypto'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { UncacheableValueError } from '../errors.js'
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
 */
const FORMAT = 2
const DEFLATED = 1
const HEADER = 29
const VERSION = { from: 5, to: 13 }

/** What an entry says of itself. */
export interface Header {
  readonly freshMs: number
  readonly keptMs: number
  readonly loadMs: number
}

/** An entry, read: a value shared with nobody. */
export interface Decoded {
  readonly header: Header
  readonly value: unknown
}

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

  /** The entry to store, or `undefined` where it would be larger than allowed. */
  wrapped(payload: Uint8Array, { freshMs, keptMs, loadMs }: Header): Buffer | undefined {
    const { serializer, compressOverBytes, maxValueBytes } = this.#options
    if (payload.byteLength > maxValueBytes) return undefined
    const small = payload.byteLength > compressOverBytes ? deflated(payload) : undefined
    const body = small ?? payload
    const bytes = Buffer.allocUnsafe(HEADER + body.byteLength)
    bytes[0] = FORMAT
    bytes[1] = serializer.id
    bytes[2] = small === undefined ? 0 : DEFLATED
    bytes.writeUInt16BE(HEADER, 3)
    randomFillSync(bytes, VERSION.from, VERSION.to - VERSION.from)
    bytes.writeUIntBE(freshMs, 13, 6)
    bytes.writeUIntBE(keptMs, 19, 6)
    bytes.writeUInt32BE(Math.min(Math.round(loadMs), 0xffff_ffff), 25)
    bytes.set(body, HEADER)
    return bytes
  }

  /** `undefined` if the bytes are of an unknown format, of another serializer, broken, or not as the schema wants them. */
  read(bytes: Buffer): Decoded | undefined | Promise<Decoded | undefined> {
    const { serializer, maxValueBytes } = this.#options
    if (bytes.length < HEADER || bytes[0] !== FORMAT || bytes[1] !== serializer.id) return undefined
    const length = bytes.readUInt16BE(3)
    if (length < HEADER || length > bytes.length) return undefined
    try {
      const body = bytes.subarray(length)
      // A payload that claims to be larger than anything that is stored here was not stored here.
      const payload =
        bytes[2] === DEFLATED ? inflateRawSync(body, { maxOutputLength: Math.max(1, maxValueBytes) }) : body
      return this.#checked(headerOf(bytes), serializer.decode(payload))
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

  #checked(header: Header, value: unknown): Decoded | undefined | Promise<Decoded | undefined> {
    const { schema } = this.#options
    if (schema === undefined) return { header, value }
    const result = schema['~standard'].validate(value)
    return result instanceof Promise
      ? result
          .then((late) => (late.issues === undefined ? { header, value: late.value } : undefined))
          .catch(() => undefined)
      : result.issues === undefined
        ? { header, value: result.value }
        : undefined
  }
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
