import { randomBytes } from 'node:crypto'
import type { Key, RedisPort } from '../../../src/redis/index.js'

/**
 * The lock as textbooks print it: SET NX PX, a compare-and-delete by GET and DEL, no token, no deadline in the
 * handle. Here to show that the tests of ours can fail.
 */
export async function naiveAcquire(port: RedisPort, key: Key, ttlMs: number): Promise<string | undefined> {
  const owner = randomBytes(16).toString('hex')
  const reply = await port.call({ key, command: ['SET', key, owner, 'NX', 'PX', ttlMs] })
  return reply === 'OK' ? owner : undefined
}

export async function naiveRelease(port: RedisPort, key: Key, owner: string): Promise<void> {
  if ((await port.call({ key, command: ['GET', key], repeat: 'safe' })) === owner) {
    await port.call({ key, command: ['DEL', key] })
  }
}
