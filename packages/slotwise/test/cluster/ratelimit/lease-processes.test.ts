import { randomUUID } from 'node:crypto'
import { expect, inject, it } from 'vitest'
import { inProcesses } from '../../support/in-processes.js'
import type { LeasingDone, LeasingTask } from '../../support/leasing-child.js'

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
  const { told, passedMs } = await inProcesses(2, './leasing-child.ts', task)
  const all = told as readonly LeasingDone[]
  const total = (of: keyof LeasingDone) => all.reduce((sum, done) => sum + done[of], 0)
  const exact = capacity + (refillPerSecond * passedMs) / 1000
  expect(total('admitted')).toBeLessThanOrEqual(exact + epsilon * capacity)
  expect(total('admitted')).toBeGreaterThan(0.8 * exact)
  expect(total('leased')).toBeGreaterThan(0.9 * total('admitted'))
  // Refusals included: the bucket is empty half of the time.
  expect(total('asked') * 20).toBeLessThan(total('admitted') + total('refused'))
})
