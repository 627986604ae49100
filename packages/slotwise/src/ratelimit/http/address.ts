import { isIPv4, isIPv6 } from 'node:net'

/** An address: of IPv4 as it is written, of IPv6 as its eight groups. */
export type Address = string | readonly number[]

/**
 * An address as proxies write it: bare, with a port, in brackets, with a zone. An IPv4 address inside an IPv6 one
 * (`::ffff:192.0.2.1`, or `64:ff9b::192.0.2.1` behind a translator) is that IPv4 address: it is one client by either way.
 * `undefined` for anything else, such as the `unknown` and `_hidden` of RFC 7239.
 */
export function addressOf(text: string): Address | undefined {
  const bare = withoutPort(text.trim())
  if (isIPv4(bare)) return bare
  const zone = bare.indexOf('%')
  const withoutZone = zone < 0 ? bare : bare.slice(0, zone)
  if (!isIPv6(withoutZone)) return undefined
  const groups = groupsOf(withoutZone)
  return insideOf(groups) ?? groups
}

/**
 * What a client is called in a limit: an IPv4 address, or the first `ipv6Prefix` bits of an IPv6 one, since whoever has one
 * of those has a whole network of them. Different spellings of one address give the same text.
 */
export function clientName(address: Address, ipv6Prefix: number): string {
  if (typeof address === 'string') return address
  let text = ''
  for (let i = 0; 16 * i < ipv6Prefix; i++) {
    const bits = Math.min(16, ipv6Prefix - 16 * i)
    const group = (address[i] ?? 0) & (0xffff << (16 - bits))
    text += i === 0 ? group.toString(16) : `:${group.toString(16)}`
  }
  return ipv6Prefix === 128 ? text : `${text}::/${ipv6Prefix}`
}

/** Behind `::ffff:0:0/96` (RFC 4291) or `64:ff9b::/96` (RFC 6052). */
function insideOf(groups: readonly number[]): string | undefined {
  const [a, b, c, d, e, f, high = 0, low = 0] = groups
  if (c !== 0 || d !== 0 || e !== 0) return undefined
  const isMapped = a === 0 && b === 0 && f === 0xffff
  const isTranslated = a === 0x64 && b === 0xff9b && f === 0
  return isMapped || isTranslated ? `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}` : undefined
}

function withoutPort(text: string): string {
  if (text.startsWith('[')) return /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? ''
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text
}

/** The eight groups of an address that is one. */
function groupsOf(text: string): readonly number[] {
  const groups: number[] = []
  let gap = -1
  for (const part of text.split(':')) {
    if (part.includes('.')) {
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
      groups.push((a << 8) | b, (c << 8) | d)
    } else if (part !== '') groups.push(Number.parseInt(part, 16))
    // At an end it comes twice, and stands for one gap all the same.
    else if (gap < 0) gap = groups.length
  }
  const missing = 8 - groups.length
  if (missing > 0) groups.splice(gap, 0, ...Array.from({ length: missing }, () => 0))
  return groups
}
