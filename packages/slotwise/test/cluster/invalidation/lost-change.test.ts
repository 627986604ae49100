import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type TagSnapshot, TagVersions } from '../../../src/invalidation/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { CountedTags } from './naive.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: `lost-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** One tag of each kind, whose key can be put back to what it was: what a failover does to a change that it loses. */
interface Losable {
  readonly stamp: () => Promise<unknown>
  readonly isValid: (stamp: unknown) => Promise<boolean>
  readonly bump: () => Promise<void>
  readonly key: Key
}

describe('a change that a failover has lost, followed by one that it has not', () => {
  /** The stamp of an entry that was made between the two. */
  async function madeBetween({ stamp, isValid, bump, key }: Losable): Promise<boolean> {
    await bump()
    await stamp()
    const replica = await port.call({ key, command: ['DUMP', key] }, { binary: true })
    await bump()
    const between = await stamp()
    await port.call({ key, command: ['RESTORE', key, 0, replica as Buffer, 'REPLACE'] })
    await bump()
    return isValid(between)
  }

  it('does not make valid what was made between them', async () => {
    const name = `t${randomUUID().slice(0, 8)}`
    await using tags = new TagVersions(port, { name })
    const valid = await madeBetween({
      key: keyOf({ namespace: port.namespace, pattern: 'tag', name }, ['a']),
      stamp: () => tags.snapshot(['a']),
      isValid: async (stamp) => (await tags.changedSince(stamp as TagSnapshot)).length === 0,
      bump: () => tags.bump(['a']),
    })
    expect(valid).toBe(false)
  })

  it('makes it valid where a counter is compared', async () => {
    const counted = new CountedTags(port, randomUUID())
    const valid = await madeBetween({
      key: counted.keyOf('a'),
      stamp: () => counted.snapshot(['a']),
      isValid: (stamp) => counted.isCurrent(stamp as ReadonlyMap<string, number>),
      bump: () => counted.bump(['a']),
    })
    expect(valid).toBe(true)
  })
})
