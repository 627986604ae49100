/** A counter that only the lock's holder may change, on a cluster of its own: `npx tsx --conditions=slotwise-source examples/lock.ts` */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { Locks } from 'slotwise/lock'

await using cluster = await startLocalCluster()
await using redis = await connect({ ...cluster.connectOptions, namespace: 'example' })
// A server that was just started may have forgotten locks, and gives none for the longest time of one.
const locks = new Locks(redis, {
  name: 'counters',
  maxTtlMs: 2000,
  onError: (error) => console.log('reported:', error),
})

let counter = 0
const increment = () =>
  locks.using('visits', { ttlMs: 2000, waitMs: 10_000 }, async (lock) => {
    const seen = counter
    await sleep(5)
    // Whoever stalled for longer than the lock lasts must not write what it read before.
    lock.assertHeld()
    counter = seen + 1
  })
await Promise.all(Array.from({ length: 20 }, increment))
console.log(`20 increments by read, wait and write: ${counter}`)

const lock = await locks.acquire('visits', { ttlMs: 100 })
console.log(`token ${lock.token}, ${Math.round(lock.remainingMs())} ms left`)
await new Promise((resolve) => lock.signal.addEventListener('abort', resolve))
console.log(`told in time: ${lock.signal.reason.message}`)
const next = await locks.acquire('visits', { ttlMs: 1000 })
console.log(`the next token is larger: ${next.token > lock.token}`)
await next.release()
