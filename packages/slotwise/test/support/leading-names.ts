import dns from 'node:dns'
import { isIP } from 'node:net'

/** Has a name lead to these addresses, in this order, for every connection of this process, until it is disposed of. */
export function leading(name: string, addresses: readonly string[]): Disposable {
  const real = dns.lookup
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  const lookup = (
    host: string,
    options: dns.LookupOptions,
    callback: (error: Error | null, found: readonly dns.LookupAddress[]) => void,
  ) => {
    if (host === name && options.all) process.nextTick(callback, null, all)
    else real(host, options, callback as never)
  }
  dns.lookup = lookup as never
  return { [Symbol.dispose]: () => void (dns.lookup = real) }
}
