import { UncacheableValueError } from '../errors.js'

/**
 * First byte of every stored payload: how the rest is to be read. A number is never given a second meaning, and
 * a reader that does not know one takes the entry for absent, so that old and new processes can share a cache.
 */
const JSON_TEXT = 1

/** The bytes to store, or an {@link UncacheableValueError}. */
export function encode(value: unknown): Buffer {
  let text: string | undefined
  try {
    text = JSON.stringify(value) as string | undefined
  } catch (cause) {
    throw new UncacheableValueError('the value cannot be cached: JSON cannot represent it', { cause })
  }
  if (text === undefined) {
    throw new UncacheableValueError(
      `the value cannot be cached: it is ${value === undefined ? 'undefined; use null for "not found"' : typeof value}`,
    )
  }
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(text))
  bytes[0] = JSON_TEXT
  bytes.write(text, 1)
  return bytes
}

/** A fresh value, shared with nobody; `undefined` if the bytes are of an unknown format or broken. */
export function decode(bytes: Buffer): { readonly value: unknown } | undefined {
  if (bytes[0] !== JSON_TEXT) return undefined
  try {
    return { value: JSON.parse(bytes.toString('utf8', 1)) }
  } catch {
    return undefined
  }
}
