import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { LocalServerError } from '../errors.js'

// Below the ports that systems hand to outgoing connections, so that none of these takes one between our look and
// the server's start.
const LOWEST = 10_000
const HIGHEST = 32_000

/**
 * `count` ports of 127.0.0.1 that nobody listens on. `wanted` first, where still free; then from `base` upwards, or
 * at random. Nothing keeps a stranger from taking one a moment later: who uses them checks who answers.
 */
export async function freePorts(
  count: number,
  {
    wanted = [],
    avoid = [],
    base,
  }: {
    readonly wanted?: readonly number[]
    readonly avoid?: readonly number[]
    readonly base?: number | undefined
  } = {},
): Promise<readonly number[]> {
  const held: Server[] = []
  const ports: number[] = []
  const claim = async (port: number) => {
    const server = ports.includes(port) || avoid.includes(port) ? undefined : await hold(port)
    if (server === undefined) return
    held.push(server)
    ports.push(port)
  }
  try {
    for (const port of wanted) if (ports.length < count) await claim(port)
    if (base !== undefined) {
      for (let port = base; ports.length < count && port < 65_536; port++) await claim(port)
    }
    const tries = base === undefined ? 2000 : 0
    for (let i = 0; ports.length < count && i < tries; i++) await claim(randomInt(LOWEST, HIGHEST))
  } finally {
    await Promise.all(held.map((server) => new Promise((done) => server.close(done))))
  }
  if (ports.length === count) return ports
  throw new LocalServerError(`found only ${ports.length} of ${count} free ports on 127.0.0.1`, { log: '' })
}

function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}
