import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigurationError, LockLostError } from '../../../src/errors.js'
import { FencedValues, Locks } from '../../../src/lock/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'

let port: RedisPort
let values: FencedValues<number | string>
beforeAll(async () => {
  port = await anyPort({ namespace: 'test' })
  values = new FencedValues(port, { name: 'values' })
})
afterAll(() => port.close())

/** As a holder sees it that believes to hold the lock still. */
const holder = (token: bigint) => ({ lock: { token, assertHeld: () => {} } })

describe('a fenced value', () => {
  it('is changed by the newest holder only, once that has changed it, a value that was removed too', async () => {
    const id = randomUUID()
    expect(await values.get(id)).toBeUndefined()
    expect(await values.set(id, 'old', holder(7n))).toEqual({ written: true })
    expect(await values.set(id, 'new', holder(8n))).toEqual({ written: true })
    expect(await values.set(id, 'late', holder(7n))).toEqual({ written: false, seen: 8n })
    expect(await values.delete(id, holder(7n))).toEqual({ written: false, seen: 8n })
    expect(await values.get(id)).toBe('new')
    expect(await values.delete(id, holder(8n))).toEqual({ written: true })
    expect(await values.get(id)).toBeUndefined()
    expect(await values.set(id, 'late', holder(7n))).toEqual({ written: false, seen: 8n })
    expect(await values.get(id)).toBeUndefined()
  })

  it('is compared by all digits of a token', async () => {
    const id = randomUUID()
    const token = 1_790_000_000_000_001n
    await values.set(id, 1, holder(token))
    expect(await values.set(id, 2, holder(token - 1n))).toEqual({ written: false, seen: token })
    expect(await values.set(id, 3, holder(token + 1n))).toEqual({ written: true })
    // Of another number of digits.
    expect(await values.set(id, 4, holder(9n))).toMatchObject({ written: false })
  })

  it('follows the plain model: the last change whose token is no smaller than all before', async () => {
    const change = fc.record({ token: fc.bigInt(1n, 6n), value: fc.option(fc.nat(9)) })
    const property = fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
      const id = randomUUID()
      let seen = 0n
      let model: number | undefined
      for (const { token, value } of changes) {
        const done = value === null ? values.delete(id, holder(token)) : values.set(id, value, holder(token))
        expect(await done).toEqual(token >= seen ? { written: true } : { written: false, seen })
        if (token >= seen) {
          seen = token
          model = value ?? undefined
        }
        expect(await values.get(id)).toBe(model)
      }
    })
    await fc.assert(property, { numRuns: rounds(50, 2000) })
  })

  it('goes by a real lock, of tenants apart, and not by one that is over', async () => {
    const locks = new Locks(port, { name: 'values', quarantine: false })
    const id = randomUUID()
    const lock = await locks.acquire(id, { ttlMs: 5000 })
    const [one, two] = [values.forTenant('a'), values.forTenant('b')]
    expect(await one.set(id, 'a', { lock })).toEqual({ written: true })
    expect(await two.get(id)).toBeUndefined()
    await lock.release()
    await expect(one.set(id, 'b', { lock })).rejects.toThrow(LockLostError)
    expect(await one.get(id)).toBe('a')
  })

  it('must be what JSON can hold', async () => {
    const odd = new FencedValues<unknown>(port, { name: 'values' })
    const circle: unknown[] = []
    circle.push(circle)
    for (const value of [undefined, () => {}, 1n, circle])
      await expect(odd.set('x', value, holder(1n))).rejects.toThrow(ConfigurationError)
    expect(() => new FencedValues(port, { name: 'x', keepMs: 0 })).toThrow(ConfigurationError)
  })
})
