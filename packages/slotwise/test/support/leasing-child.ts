import { connect } from '../../src/ioredis/index.js'
import { RateLimiter, tokenBucket } from '../../src/ratelimit/index.js'

/** What a process is told that takes all it can get of one subject. */
export interface LeasingTask {
  readonly nodes: readonly string[]
  readonly subject: string
  readonly capacity: number
  readonly refillPerSecond: number
  readonly epsilon: number
  readonly forMs: number
}

/** What it says of it when it is done. */
export interface LeasingDone {
  readonly admitted: number
  readonly leased: number
  readonly refused: number
  readonly asked: number
}

const task = JSON.parse(process.argv[2] ?? '{}') as LeasingTask
const port = await connect({ nodes: task.nodes, namespace: 'leasing' })
const { capacity, refillPerSecond, epsilon } = task
const limiter = new RateLimiter(port, {
  name: 'hot',
  tiers: { bucket: tokenBucket({ capacity, refillPerSecond }) },
  whenUnavailable: 'deny',
  deadlineMs: 3000,
  lease: { epsilon },
})
await limiter.ready()
process.once('message', () => {
  void (async () => {
    let [admitted, leased, refused] = [0, 0, 0]
    const until = performance.now() + task.forMs
    while (performance.now() < until) {
      for (let i = 0; i < 20; i++) {
        const decision = await limiter.consume(task.subject)
        if (decision.allowed) admitted++
        else refused++
        if (decision.allowed && decision.decidedBy === 'lease') leased++
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const done: LeasingDone = { admitted, leased, refused, asked: limiter.leaseStats()?.asked ?? 0 }
    process.send?.(done)
    await port.close()
    process.disconnect()
  })()
})
process.send?.('ready')
process.once('disconnect', () => process.exit())
