import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import type { Id } from '../../../src/keys.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'

/** A port for the tests of one file, and caches over it whose budget no test spends by accident. */
export interface TestBed {
  readonly port: RedisPort
  cache<T>(options?: Partial<CacheOptions<T>>, through?: RedisPort): Cache<T>
  key(id: Id): Key
  /** Time passes for an entry, once it is stored, by the server's own clock: its end comes nearer by so much. */
  age(id: Id, byMs: number): Promise<void>
  /** The same, until so much is left. */
  leave(id: Id, leftMs: number): Promise<void>
}

/** To be called once at the top of a test file. */
export function testBed(name: string): TestBed {
  let port: RedisPort | undefined
  beforeAll(async () => {
    port = await anyPort({ namespace: `${name}-${randomUUID().slice(0, 8)}` })
  })
  afterAll(() => port?.close())
  const opened = (): RedisPort => {
    if (port === undefined) throw new Error('the port is opened before the first test')
    return port
  }
  const key = (id: Id): Key => keyOf({ namespace: opened().namespace, pattern: 'cache', name: 'test' }, id)
  const remaining = async (id: Id): Promise<number> => {
    const at = key(id)
    await expect.poll(() => opened().call({ key: at, command: ['HEXISTS', at, 'v'] })).toBe(1)
    return Number(await opened().call({ key: at, command: ['PTTL', at] }))
  }
  return {
    get port() {
      return opened()
    },
    cache: <T>(options: Partial<CacheOptions<T>> = {}, through = opened()) =>
      new Cache<T>(through, { name: 'test', ttlMs: 60_000, jitter: 0, budgetMs: BUDGET, ...options }),
    key,
    async age(id, byMs) {
      const left = await remaining(id)
      if (left <= byMs) throw new Error(`only ${left} ms are left of ${key(id)}`)
      await this.leave(id, left - byMs)
    },
    async leave(id, leftMs) {
      await remaining(id)
      await opened().call({ key: key(id), command: ['PEXPIRE', key(id), leftMs] })
    },
  }
}

const BUDGET = { min: 5000, max: 5000 }

export const refuse = (): never => {
  throw new Error('must not be loaded')
}
