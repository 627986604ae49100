import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { ConfigurationError } from '../../errors.js'
import { integer, oneOf, shown } from '../../options.js'
import { type Address, addressOf, clientName } from './address.js'

/** Whose word about a client's address is taken. */
export interface Proxies {
  /**
   * How many proxies a request has passed when it arrives, each of which adds the address that it heard from; or the
   * addresses and networks (`'10.0.0.0/8'`) of those that do. **A number is only safe where no client can reach this server
   * past them**; networks are safe in any case.
   */
  readonly trust: number | readonly string[]
  /** The header that they add to. The other one is never read: a client can send it. @defaultValue `'x-forwarded-for'` */
  readonly header?: 'x-forwarded-for' | 'forwarded' | undefined
}

/** What is known of a request before anybody has looked into it. */
export interface RequestFacts {
  /** A header by its name in lower case, several of one name joined by commas. */
  readonly header: (name: string) => string | undefined
  /** Who is at the other end of the connection: the client or the nearest proxy. */
  readonly remoteAddress: string | undefined
}

/** How far a list of proxies is followed: a client may send thousands of addresses, all of networks that are trusted. */
const FARTHEST = 32

/** Requests whose client has no address that can be told share one limit of this name. */
const UNKNOWN = 'unknown'

/**
 * Tells whose a request is. Read from the nearest end on: the first address that is not of a trusted proxy is the client's.
 * What stands before it in the header is whatever the client sent. Where the header is shorter, or is no list of addresses,
 * the last one that could be trusted counts: such requests share the limit of that proxy.
 */
export function clientReader(
  proxies: Proxies | undefined,
  ipv6Prefix: number,
): (facts: RequestFacts) => string {
  integer('ipv6Prefix', ipv6Prefix, { min: 1, max: 128 })
  const nameOf = (address: Address | undefined) =>
    address === undefined ? UNKNOWN : clientName(address, ipv6Prefix)
  const addressAt = (text: string | undefined) => (text === undefined ? undefined : addressOf(text))
  if (proxies === undefined) return ({ remoteAddress }) => nameOf(addressAt(remoteAddress))
  const { trust, header = 'x-forwarded-for' } = proxies
  oneOf('proxies.header', header, ['x-forwarded-for', 'forwarded'])
  const isTrusted = trustIn(trust)
  const listOf = header === 'forwarded' ? forwardedFor : (value: string) => value.split(',')
  return (facts) => {
    let nearest = addressAt(facts.remoteAddress)
    if (!isTrusted(nearest, 0)) return nameOf(nearest)
    const list = listOf(facts.header(header) ?? '')
    for (let passed = 1; passed <= Math.min(list.length, FARTHEST); passed++) {
      const next = addressAt(list.at(-passed))
      if (next === undefined) break
      nearest = next
      if (!isTrusted(nearest, passed)) break
    }
    return nameOf(nearest)
  }
}

/** Whether what an address says is taken, given how many proxies are between it and here. */
function trustIn(
  trust: number | readonly string[],
): (address: Address | undefined, passed: number) => boolean {
  if (typeof trust === 'number') {
    const hops = integer('proxies.trust', trust, { min: 1, max: FARTHEST })
    return (_, passed) => passed < hops
  }
  const networks = new BlockList()
  for (const network of trust) add(networks, network)
  return (address) => {
    if (address === undefined) return false
    return networks.check(clientName(address, 128), typeof address === 'string' ? 'ipv4' : 'ipv6')
  }
}

function add(networks: BlockList, network: unknown): void {
  const [address = '', prefix, ...rest] = typeof network === 'string' ? network.split('/') : []
  const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined
  if (family === undefined || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) {
    throw new ConfigurationError(`proxies.trust must hold addresses and networks, got ${shown(network)}`)
  }
  const longest = family === 'ipv4' ? 32 : 128
  const bits = integer('the prefix of a network', Number(prefix ?? longest), { min: 0, max: longest })
  networks.addSubnet(address, bits, family)
}

const PAIR = /[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=([\w!#$%&'*+.^`|~:[\]-]+|"(?:[^"\\]|\\.)*"))?[ \t]*([;,]|$)/y

/** What `for` says in each element of a `Forwarded` header (RFC 7239); nothing of a header that is not one as a whole. */
export function forwardedFor(value: string): readonly string[] {
  const list: string[] = []
  let own = ''
  for (PAIR.lastIndex = 0; ; ) {
    const [, name = '', text = '', end] = PAIR.exec(value) ?? []
    // An unclosed quote of the client's would hide what the proxies have written after it.
    if (end === undefined) return []
    if (name.toLowerCase() === 'for')
      own = text.startsWith('"') ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1') : text
    if (end === ';') continue
    list.push(own)
    own = ''
    if (end === '') return list
  }
}
