import type { Endpoint } from './link.js'

/** `host:port`, with brackets around an IPv6 address: the name of a node in messages and maps. */
export function addressOf({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Where an address that {@link addressOf} made leads to. */
export function endpointOf(address: string): Endpoint {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) }
}
