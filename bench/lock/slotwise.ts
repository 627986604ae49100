import { connect } from 'slotwise/ioredis'
import { Locks } from 'slotwise/lock'
import { COMMAND_TIMEOUT_MS, ENDLESS_MS, type Open } from './subject.js'

/** One slot of the cluster, or the majority of three nodes, fenced and with quarantine: as it is unless told otherwise. */
export const open: Open = async ({ kind, nodes, prefix }, { ttlMs }) => {
  const addresses = nodes.map(({ host, port }) => [host, port].join(':'))
  const common = { namespace: prefix, commandTimeoutMs: COMMAND_TIMEOUT_MS }
  const ports =
    kind === 'cluster'
      ? [await connect({ ...common, nodes: addresses })]
      : await Promise.all(addresses.map((one) => connect({ ...common, nodes: [one], mode: 'standalone' })))
  // What is measured is how fast it is, and not what it does on a machine that is too busy.
  const options = { name: 'jobs', maxTtlMs: ttlMs, nodeTimeoutMs: COMMAND_TIMEOUT_MS }
  const [first] = ports
  if (first === undefined) throw new Error('there are no servers')
  const locks = kind === 'cluster' ? new Locks(first, options) : Locks.redlock(ports, options)
  await locks.ready()
  return {
    acquire: async (resource) => {
      const lock = await locks.acquire(resource, { ttlMs, waitMs: ENDLESS_MS })
      return {
        release: async () => {
          if (!(await lock.release())) throw new Error('it was lost')
        },
      }
    },
    hold: async (resource) => {
      const lock = await locks.acquire(resource, { ttlMs, maxHoldMs: ENDLESS_MS })
      const lost = new Promise<void>((resolve) => {
        lock.signal.addEventListener('abort', () => resolve())
      })
      return { lost, release: () => lock.release() }
    },
    close: async () => {
      await locks.close()
      await Promise.all(ports.map((port) => port.close()))
    },
  }
}
