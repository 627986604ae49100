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
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  const open = bytes.indexOf(OPEN)
  if (open >= 0) {
    const close = bytes.indexOf(CLOSE, open + 1)
    // An empty tag is no tag: the whole key counts.
    if (close > open + 1) return crc16(bytes, open + 1, close) % SLOTS
  }
  return crc16(bytes, 0, bytes.length) % SLOTS
}

function crc16(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0
  // Both indices are in range by construction; ?? 0 only satisfies the checker.
  for (let i = from; i < to; i++) crc = ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ (bytes[i] ?? 0)] ?? 0)
  return crc
}
