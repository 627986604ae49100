import { expect, it, vi } from 'vitest'
import { connect } from '../../src/ioredis/index.js'
import { Locks } from '../../src/lock/index.js'
import { ask, startWatched } from '../support/sentinels.js'

/** An election among sentinels is over in less, on a busy machine too. */
const TTL_MS = 10_000

it('a primary that sentinels make the primary again before it has heard that it was replaced gives nothing that the one between gave', {
  timeout: 120_000,
}, async () => {
  await using watched = await startWatched(500)
  const options = { nodes: watched.sentinels, sentinel: { primaryName: 'main' }, commandTimeoutMs: 500 }
  await using port = await connect(options)
  const locks = new Locks(port, { name: 'again', maxTtlMs: TTL_MS, onError: () => {} })
  const tried = (resource: string) => locks.tryAcquire(resource, { ttlMs: TTL_MS })
  const granted = (resource: string) =>
    vi.waitFor(
      async () => {
        const outcome = await tried(resource)
        if (!outcome.acquired) throw new Error(outcome.reason)
        return outcome.lock
      },
      { timeout: 40_000, interval: 20 },
    )
  const primary = () => port.topology().ownerOf(0)?.port
  const once = watched.servers.find((server) => server.port === primary())
  const other = watched.servers.find((server) => server.port !== primary())
  expect.assert(once !== undefined && other !== undefined)
  const reign = async () => /master_replid:\w+/.exec(await ask(once.port, 'INFO', 'replication'))?.[0]
  // Of the slot of the other one it has no marker.
  await (await granted('known')).release()
  const before = await reign()

  process.kill(once.process.pid, 'SIGSTOP')
  try {
    await expect.poll(primary, { timeout: 20_000 }).toBe(other.port)
    const first = await Promise.all(['known', 'unknown'].map(granted))
    process.kill(once.process.pid, 'SIGCONT')
    // They make it a replica eight seconds after it has told them that it is a primary, and choose nobody whom they cannot reach.
    const lists = () =>
      Promise.all(
        watched.sentinels.map((at) => ask(Number(at.split(':')[1]), 'SENTINEL', 'REPLICAS', 'main')),
      )
    const isEligible = (list: string) => /flags,slave,.*role-reported,master,/.test(list)
    await expect.poll(async () => (await lists()).every(isEligible), { timeout: 7000 }).toBe(true)
    await other.process.end('SIGKILL')
    await expect.poll(primary, { timeout: 20_000 }).toBe(once.port)
    const answers = await vi.waitFor(
      async () => {
        const outcomes = await Promise.all(['known', 'unknown'].map(tried))
        for (const outcome of outcomes) {
          if (!outcome.acquired && outcome.reason === 'unavailable') throw outcome.cause
        }
        return outcomes
      },
      { timeout: 5000, interval: 20 },
    )
    for (const lock of first) lock.assertHeld()
    expect(await reign()).toBe(before)
    const quarantined = expect.objectContaining({ reason: 'quarantined' }) as unknown
    expect(answers).toEqual([quarantined, quarantined])
  } finally {
    process.kill(once.process.pid, 'SIGCONT')
  }
})
