import { ConfigurationError, UncacheableValueError } from '../errors.js'
import { shown } from '../options.js'

/**
 * Turns values into bytes and back. What it gives back must be a new value each time, since callers may change
 * what they are given. Bytes written under one `id` are never read under another.
 */
export interface Serializer {
  /** 1 to 255, stored with every entry. 1 to 15 are those of this package. */
  readonly id: number
  /** @throws anything, for a value that it cannot represent */
  encode(value: unknown): Uint8Array
  /** @throws anything, for bytes that it has not written; the entry then counts as absent */
  decode(bytes: Uint8Array): unknown
}

/**
 * JSON in UTF-8: what `JSON.parse(JSON.stringify(value))` gives back, so dates come back as text and a property that is
 * `undefined` not at all. A bigint or a circular value is an {@link UncacheableValueError}. The default.
 */
export const json: Serializer = textual(1, JSON)

/** The two functions of superjson that are needed. */
interface SuperJson {
  stringify(value: unknown): string
  parse(text: string): unknown
}

/**
 * Keeps dates, maps, sets, bigints and `undefined` inside of values, by the library of that name, which you install.
 *
 * @example
 * ```ts
 * import { superjson } from 'slotwise/cache'
 *
 * const library = { stringify: JSON.stringify, parse: JSON.parse } // import library from 'superjson'
 * export const serializer = superjson(library)
 * ```
 */
export function superjson(library: SuperJson): Serializer {
  return textual(3, { stringify: (value) => library.stringify(value), parse: (text) => library.parse(text) })
}

/** What is needed of msgpackr (`pack`, `unpack`) or of `@msgpack/msgpack` (`encode`, `decode`). */
type MessagePack =
  | { pack(value: unknown): Uint8Array; unpack(bytes: Uint8Array): unknown }
  | { encode(value: unknown): Uint8Array; decode(bytes: Uint8Array): unknown }

/**
 * MessagePack, by a library that you install: smaller than JSON, and it keeps binary data and dates. What one reader does to
 * bytes within its value no other sees. Give msgpackr a
 * `Packr` without shared structures: those live in one process and other processes could not read what it writes.
 *
 * @example
 * ```ts
 * import { msgpack } from 'slotwise/cache'
 *
 * // import * as library from '@msgpack/msgpack'
 * export const serializerOf = (library: Parameters<typeof msgpack>[0]) => msgpack(library)
 * ```
 */
export function msgpack(library: MessagePack): Serializer {
  const [encode, decode] =
    'pack' in library
      ? [(value: unknown) => library.pack(value), (bytes: Uint8Array) => library.unpack(bytes)]
      : [(value: unknown) => library.encode(value), (bytes: Uint8Array) => library.decode(bytes)]
  // Both libraries give out binary data as views of what they were given, which others are going to read as well.
  return { id: 2, encode, decode: (bytes) => decode(new Uint8Array(bytes)) }
}

/** A serializer as the constructor takes it. */
export function checkedSerializer(serializer: Serializer): Serializer {
  const { id } = serializer
  if (Number.isInteger(id) && id >= 1 && id <= 255) return serializer
  throw new ConfigurationError(
    `the id of a serializer must be a whole number from 1 to 255, got ${shown(id)}`,
  )
}

function textual(
  id: number,
  library: { stringify(value: unknown): string | undefined; parse(text: string): unknown },
): Serializer {
  return {
    id,
    encode(value) {
      const text = library.stringify(value)
      if (text !== undefined) return Buffer.from(text)
      throw new UncacheableValueError(`the value cannot be cached: it is a ${typeof value}`)
    },
    decode: (bytes) =>
      library.parse(
        Buffer.isBuffer(bytes)
          ? bytes.toString('utf8')
          : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
      ),
  }
}
