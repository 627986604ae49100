/**
 * Which slot a key lives in: CRC16/XMODEM of the hash tag, modulo 16,384.
 *
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags | Cluster specification}
 */

/** How many slots a cluster has. */
export const SLOTS = 16_384

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

const OPEN = 0x7b
const CLOSE = 0x7d

/** The slot of a key, from 0 to 16,383. Text counts as its UTF-8 bytes. */
export function slotOf(key: string | Uint8Array): number {
  return typeof key === 'string' ? slotOfText(key) : slotOfBytes(key)
}

/** The slot that all of the text would have, were there no hash tags. */
export function slotOfWhole(text: string): number {
  let crc = 0
  for (const byte of Buffer.from(text)) crc = step(crc, byte)
  return crc % SLOTS
}

function slotOfBytes(bytes: Uint8Array): number {
  const open = bytes.indexOf(OPEN)
  const close = open < 0 ? -1 : bytes.indexOf(CLOSE, open + 1)
  // An empty tag is no tag: the whole key counts.
  const [from, to] = close > open + 1 ? [open + 1, close] : [0, bytes.length]
  let crc = 0
  for (let i = from; i < to; i++) crc = step(crc, bytes[i] ?? 0)
  return crc % SLOTS
}

/** Asked several times for each call: what is ASCII, as nearly all keys are, is not copied into bytes first. */
function slotOfText(text: string): number {
  const open = text.indexOf(String.fromCharCode(OPEN))
  const close = open < 0 ? -1 : text.indexOf(String.fromCharCode(CLOSE), open + 1)
  const tagged = close > open + 1
  const to = tagged ? close : text.length
  let crc = 0
  for (let i = tagged ? open + 1 : 0; i < to; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return slotOfBytes(Buffer.from(text))
    crc = step(crc, unit)
  }
  return crc % SLOTS
}

function step(crc: number, byte: number): number {
  // The index is in range by construction; ?? 0 only satisfies the checker.
  return ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] ?? 0)
}
