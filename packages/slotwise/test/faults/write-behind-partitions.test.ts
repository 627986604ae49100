import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { ConfigurationError, RedisUnavailableError } from '../../src/errors.js'
import { connect } from '../../src/ioredis/index.js'
import { startLocalCluster } from '../../src/local/index.js'
import { slotOf } from '../../src/redis/index.js'
import { WriteBehind, WriteBehindAdmin } from '../../src/writebehind/index.js'
import { partitionKeys, partitionOf } from '../../src/writebehind/partition-keys.js'
import { nameOf } from '../../src/writebehind/rows.js'
import { promotion } from '../support/port-traffic.js'

it('a replica that did not follow a change of partitions is waited for, so that it opens no journal of before when it is elected', async () => {
  const cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  onTestFinished(() => cluster.stop())
  const port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 500 })
  onTestFinished(() => port.close())
  const name = 'posts'
  const old = new WriteBehind<number>(port, { name, partitions: 3, writeBatch: async () => {} })
  await old.ready()
  const key = partitionKeys({ namespace: '', pattern: 'writebehind', name }, 3)[
    partitionOf(nameOf('a', undefined), 3)
  ]
  const owner = port.topology().ownerOf(slotOf(key ?? expect.fail()))
  const [follower] = port.topology().replicasOf(owner?.id ?? '')
  const indexOf = (at: number | undefined) => cluster.nodes.findIndex((node) => node.port === at)
  const [primary, replica] = [indexOf(owner?.port), indexOf(follower?.port)]
  await cluster.pause(replica)
  // What is sent already would still be read.
  await port.onNode(owner?.id ?? '', ['CLIENT', 'KILL', 'TYPE', 'replica'])

  const changing = new WriteBehindAdmin(port, { name }).changePartitions(5)
  const waits = await Promise.race([changing.then(() => false), sleep(1500, true)])
  if (waits) {
    await cluster.resume(replica)
    await changing
  }
  await cluster.kill(primary)
  if (!waits) await cluster.resume(replica)
  await promotion(cluster, port, primary)
  // It knows the old number, and has not looked since.
  const answer = async () => {
    for (;;) {
      const one = await old.write('a', 1).catch((error: unknown) => error)
      if (!(one instanceof RedisUnavailableError)) return one
      await sleep(50)
    }
  }
  expect(await answer()).toBeInstanceOf(ConfigurationError)
}, 60_000)
