import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, inject, it } from 'vitest'
import type { LeasingDone, LeasingTask } from '../../support/leasing-child.js'

const script = fileURLToPath(new URL('../../support/leasing-child.ts', import.meta.url))

it('two processes on one cluster admit no more than the bound of their leases, and nearly all that there is', async () => {
  const [capacity, refillPerSecond, epsilon] = [2000, 1000, 0.1]
  const task: LeasingTask = {
    nodes: inject('clusterNodes'),
    subject: randomUUID(),
    capacity,
    refillPerSecond,
    epsilon,
    forMs: 2000,
  }
  const children = [1, 2].map(() =>
    fork(script, [JSON.stringify(task)], {
      execArgv: ['--import', 'tsx', '--conditions', 'slotwise-source'],
    }),
  )
  try {
    await Promise.all(children.map((child) => once(child, 'message')))
    const startedAt = performance.now()
    for (const child of children) child.send('go')
    const all = await Promise.all(
      children.map(async (child) => ((await once(child, 'message')) as [LeasingDone])[0]),
    )
    const passedMs = performance.now() - startedAt
    const total = (of: keyof LeasingDone) => all.reduce((sum, done) => sum + done[of], 0)
    const exact = capacity + (refillPerSecond * passedMs) / 1000
    expect(total('admitted')).toBeLessThanOrEqual(exact + epsilon * capacity)
    expect(total('admitted')).toBeGreaterThan(0.8 * exact)
    expect(total('leased')).toBeGreaterThan(0.9 * total('admitted'))
    // Refusals included: the bucket is empty half of the time.
    expect(total('asked') * 20).toBeLessThan(total('admitted') + total('refused'))
  } finally {
    for (const child of children) child.kill()
  }
})
