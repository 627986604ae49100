/** Limits told as HTTP tells them, on a cluster of its own: `npx tsx --conditions=slotwise-source examples/ratelimit-http.ts` */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'
import { httpLimit } from 'slotwise/ratelimit/http'

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
const limiter = new RateLimiter(redis, {
  name: 'web',
  tiers: {
    burst: tokenBucket({ capacity: 3, refillPerSecond: 1 }),
    hour: tokenBucket({ capacity: 100, refillPerSecond: 100 / 3600 }),
  },
  whenUnavailable: 'allow',
})

const limit = httpLimit(limiter, { refund: 'failed' })
const server = createServer((request, response) => {
  void limit(request, response).then((goesOn) => goesOn && response.end('hello'))
}).listen(0, '127.0.0.1')
await once(server, 'listening')

const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
for (let request = 1; request <= 4; request++) {
  const { status, headers } = await fetch(url)
  console.log(`${status}, ${headers.get('ratelimit')}, again after ${headers.get('retry-after') ?? 0} s`)
}
console.log((await fetch(url)).headers.get('ratelimit-policy'))
server.closeAllConnections()
server.close()
