import { createHash, randomBytes } from 'node:crypto'
import type { Clocks } from '../../../src/lock/deadline.js'
import { defineScript, type Key, type RedisPort, type ScriptSource } from '../../../src/redis/index.js'

function script<A extends string>(name: string, args: readonly A[], source: string) {
  const text: ScriptSource<'lock', A> = {
    name: `textbook/${name}`,
    keys: ['lock'],
    args,
    sha1: createHash('sha1').update(source).digest('hex'),
    source,
  }
  return defineScript(text, { repeat: 'safe', decode: (reply) => reply })
}

const free = script(
  'release',
  ['value'],
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
)
const lengthen = script(
  'extend',
  ['value', 'ttl_ms'],
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end",
)

/**
 * Redlock as textbooks print it: one node after the other, no time taken off, no token, errors of a release ignored and those of
 * an extension too. Here to show that the tests of ours can fail.
 */
export class TextbookRedlock {
  readonly #ports: readonly RedisPort[]
  readonly #clocks: Clocks
  readonly #retries = 3
  readonly #delayMs = 100

  constructor(ports: readonly RedisPort[], clocks: Clocks) {
    this.#ports = ports
    this.#clocks = clocks
  }

  /** The value it is held with; `undefined` if it could not be had. */
  async acquire(key: Key, ttlMs: number): Promise<string | undefined> {
    const value = randomBytes(16).toString('hex')
    for (let i = 0; i < this.#retries; i++) {
      if (await this.#try(key, value, ttlMs)) return value
      await new Promise<void>((resolve) => void this.#clocks.after(this.#delayMs, resolve))
    }
    return undefined
  }

  async #try(key: Key, value: string, ttlMs: number): Promise<boolean> {
    let acquired = 0
    for (const port of this.#ports) {
      const answer = port.call({ key, command: ['SET', key, value, 'NX', 'PX', ttlMs] })
      if ((await answer.catch(() => null)) === 'OK') acquired++
    }
    if (acquired >= Math.floor(this.#ports.length / 2) + 1) return true
    await this.release(key, value)
    return false
  }

  async release(key: Key, value: string): Promise<void> {
    for (const port of this.#ports) await free.run(port, { lock: key }, { value }).catch(() => {})
  }

  async extend(key: Key, value: string, ttlMs: number): Promise<void> {
    for (const port of this.#ports)
      await lengthen.run(port, { lock: key }, { value, ttl_ms: ttlMs }).catch(() => {})
  }
}
