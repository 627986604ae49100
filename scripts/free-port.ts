import { createServer } from 'node:net'

/** The first port from `first` on that nobody listens on; 0 asks for any. */
export async function nextFree(first: number, host = '127.0.0.1'): Promise<number> {
  for (let port = first; port <= 65_535; port++) {
    const found = await tryPort(port, host)
    if (found !== undefined) return found
  }
  throw new RangeError(`no port from ${first} on is free`)
}

function tryPort(port: number, host: string): Promise<number | undefined> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(undefined))
    server.listen(port, host, () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' ? address?.port : undefined))
    })
  })
}
