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

/** The semaphore as textbooks print it: a counter, raised by who enters and lowered by who leaves. */
export async function naivePermit(port: RedisPort, key: Key, permits: number): Promise<boolean> {
  if (Number(await port.call({ key, command: ['INCR', key] })) <= permits) return true
  await naiveLeave(port, key)
  return false
}

export async function naiveLeave(port: RedisPort, key: Key): Promise<void> {
  await port.call({ key, command: ['DECR', key] })
}

/** Readers and a writer as textbooks print them: a reader enters where nobody writes, a writer where the readers count zero. */
export class NaiveReadWrite {
  readonly #port: RedisPort
  readonly #key: Key

  constructor(port: RedisPort, key: Key) {
    this.#port = port
    this.#key = key
  }

  async read(): Promise<void> {
    await this.#port.call({ key: this.#key, command: ['INCR', this.#key] })
  }

  async endRead(): Promise<void> {
    await this.#port.call({ key: this.#key, command: ['DECR', this.#key] })
  }

  async mayWrite(): Promise<boolean> {
    return Number(await this.#port.call({ key: this.#key, command: ['GET', this.#key] })) === 0
  }
}

/** Once as textbooks print it: look, run, store. `ran` waits between the look and the run, as a busy process does. */
export async function naiveOnce(port: RedisPort, key: Key, ran: () => Promise<string>): Promise<string> {
  const stored = await port.call({ key, command: ['GET', key], repeat: 'safe' })
  if (typeof stored === 'string') return stored
  const result = await ran()
  await port.call({ key, command: ['SET', key, result] })
  return result
}

/** The leader as textbooks print it: it leads from when it has the key until a renewal says that it has not. */
export class NaiveLeader {
  readonly #port: RedisPort
  readonly #key: Key
  #owner: string | undefined

  constructor(port: RedisPort, key: Key) {
    this.#port = port
    this.#key = key
  }

  get leads(): boolean {
    return this.#owner !== undefined
  }

  async stand(ttlMs: number): Promise<void> {
    this.#owner = await naiveAcquire(this.#port, this.#key, ttlMs)
  }

  async renew(ttlMs: number): Promise<void> {
    const holder = await this.#port.call({ key: this.#key, command: ['GET', this.#key], repeat: 'safe' })
    if (holder !== this.#owner) this.#owner = undefined
    else await this.#port.call({ key: this.#key, command: ['PEXPIRE', this.#key, ttlMs] })
  }
}
