import { setTimeout as sleep } from 'node:timers/promises'
import { type LocalCluster, startLocalCluster } from 'slotwise/local'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Harness } from './support/service.js'

let cluster: LocalCluster
const service = new Harness()

beforeAll(async () => {
  // Nobody is replaced for standing still.
  cluster = await startLocalCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 30_000 })
  await service.start({ REDIS_NODES: cluster.connectOptions.nodes.join(',') })
}, 60_000)
afterAll(async () => {
  await service.stop()
  await cluster.stop()
})

it('a like is held up where Redis stands still for longer than one request of a lock takes at most, answered and counted once', async () => {
  const api = await service.tenant()
  await api.entity('e')
  const id = await api.comment('e', 'text')
  // From here on nothing is asked for the first time.
  await api.put(`/v1/comments/${id}/like`, { user: 'ben' })
  const all = cluster.nodes.map((_, i) => i)
  await Promise.all(all.map((i) => cluster.pause(i)))
  const liking = api.put(`/v1/comments/${id}/like`, { user: 'ann' })
  try {
    await Promise.race([sleep(2000), liking])
  } finally {
    await Promise.all(all.map((i) => cluster.resume(i)))
  }
  expect(await liking).toMatchObject({ status: 200, body: { likes: 2, alreadyLiked: false } })
})
