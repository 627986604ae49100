import { isIPv4, isIPv6 } from 'node:net'

/** An address as its bytes: 4 of IPv4, 16 of IPv6. */
type Bytes = readonly number[]

/**
 * The bytes of an address as proxies write it: bare, with a port, in brackets, with a zone. An IPv4 address inside an IPv6
 * one (`::ffff:192.0.2.1`, or `64:ff9b::192.0.2.1` behind a translator) is that IPv4 address: it is one client by either
 * way. `undefined` for anything else, such as the `unknown` and `_hidden` of RFC 7239.
 */
export function addressBytes(text: string): Bytes | undefined {
  const bare = withoutPort(text.trim())
  if (isIPv4(bare)) return bare.split('.').map(Number)
  const withoutZone = bare.replace(/%.*$/, '')
  if (!isIPv6(withoutZone)) return undefined
  const bytes = groupsOf(withoutZone).flatMap((group) => [group >> 8, group & 255])
  const isInside = INSIDE.some((prefix) => prefix.every((byte, at) => bytes[at] === byte))
  return isInside ? bytes.slice(12) : bytes
}

/** The 96 bits before an IPv4 address: mapped (RFC 4291), and behind a translator (RFC 6052). */
const INSIDE: readonly Bytes[] = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255],
  [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
]

/**
 * What a client is called in a limit: an IPv4 address, or the first `ipv6Prefix` bits of an IPv6 one, since whoever has one
 * of those has a whole network of them. Different spellings of one address give the same text.
 */
export function clientName(bytes: Bytes, ipv6Prefix: number): string {
  if (bytes.length === 4) return bytes.join('.')
  const kept = bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, ipv6Prefix - 8 * at))))
  const groups = Array.from({ length: 8 }, (_, i) => ((kept[2 * i] ?? 0) << 8) | (kept[2 * i + 1] ?? 0))
  if (ipv6Prefix === 128) return groups.map(hex).join(':')
  return `${groups
    .slice(0, Math.ceil(ipv6Prefix / 16))
    .map(hex)
    .join(':')}::/${ipv6Prefix}`
}

const hex = (group: number): string => group.toString(16)

function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text)
  if (bracketed !== null) return bracketed[1] ?? ''
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text
}

/** The eight groups of an address that is one. */
function groupsOf(text: string): readonly number[] {
  const tail = /[\d.]+\.\d+$/.exec(text)?.[0]
  const [a = 0, b = 0, c = 0, d = 0] = tail?.split('.').map(Number) ?? []
  const plain =
    tail === undefined ? text : `${text.slice(0, -tail.length)}${hex((a << 8) | b)}:${hex((c << 8) | d)}`
  const [left = '', right] = plain.split('::')
  const numbers = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [numbers(left), numbers(right ?? '')]
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}
