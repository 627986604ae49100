import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { Locks, Semaphore } from '../../../src/lock/index.js'
import type { RedisPort } from '../../../src/redis/index.js'

describe('a user who may not ask which run of the server it is', () => {
  const username = `no-info-${randomUUID().slice(0, 8)}`
  let control: RedisPort
  let port: RedisPort
  beforeAll(async () => {
    const nodes = inject('clusterNodes')
    control = await connect({ nodes })
    await control.onEachPrimary(['ACL', 'SETUSER', username, 'on', '>pw', '~*', '&*', '+@all', '-info'])
    port = await connect({ nodes, username, password: 'pw' })
  })
  afterAll(async () => {
    await port.close()
    await control.onEachPrimary(['ACL', 'DELUSER', username])
    await control.close()
  })

  const name = () => `rights-${randomUUID()}`
  const refusal = {
    code: 'CONFIGURATION',
    message: expect.stringMatching(
      /forgot locks is not known.* INFO replication; .*\+info.*quarantine: false/,
    ) as string,
    cause: { replyCode: 'NOPERM' },
  }

  it('is told so, and what to do about it, before the first lock is asked for and by it', async () => {
    const locks = new Locks(port, { name: name(), maxTtlMs: 1000 })
    await expect(locks.ready()).rejects.toMatchObject(refusal)
    await expect(locks.acquire('a', { ttlMs: 100 })).rejects.toMatchObject(refusal)
    await expect(locks.tryAcquire('a', { ttlMs: 100 })).rejects.toMatchObject(refusal)
    const permits = new Semaphore(port, { name: name(), permits: 2, maxTtlMs: 1000 })
    await expect(permits.acquire('a', { ttlMs: 100 })).rejects.toMatchObject(refusal)
  })

  it('has locks without a quarantine, which need not know it', async () => {
    const locks = new Locks(port, { name: name(), quarantine: false })
    const lock = await locks.acquire('a', { ttlMs: 5000 })
    expect(await lock.release()).toBe(true)
  })

  it('has them as soon as it is allowed', async () => {
    const locks = new Locks(port, { name: name(), maxTtlMs: 500 })
    await expect(locks.ready()).rejects.toMatchObject(refusal)
    await control.onEachPrimary(['ACL', 'SETUSER', username, '+info'])
    const lock = await locks.acquire('a', { ttlMs: 500, waitMs: 5000 })
    expect(await lock.release()).toBe(true)
  })
})
