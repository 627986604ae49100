import { randomFillSync } from 'node:crypto'

const STOCK = Buffer.allocUnsafeSlow(4096)
let at = STOCK.length

/**
 * So many random bytes, for what has to be different from everything else and is no secret. From a stock, as those of
 * `randomUUID` are: asked of the system a few at a time they cost more than the rest of a call.
 */
export function randomTag(length: number): Buffer {
  if (at + length > STOCK.length) {
    randomFillSync(STOCK)
    at = 0
  }
  at += length
  return Buffer.from(STOCK.subarray(at - length, at))
}

/** So many characters, seven bits of each random. Text goes over the wire as it is, where bytes are put together first. */
export function randomText(length: number): string {
  const bytes = randomTag(length)
  for (let i = 0; i < length; i++) bytes[i] = (bytes[i] ?? 0) & 0x7f
  return bytes.toString('latin1')
}
