import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache, type CacheOptions } from '../../../src/cache/index.js'
import { OutcomeUnknownError } from '../../../src/errors.js'
import type { PortCallOptions, RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { portWith } from '../../support/port-with.js'
import { gate, heldLoad, turns } from './gate.js'
import { type Call, nameOf, watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `cache-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

const cacheOf = <T>(options: Partial<CacheOptions<T>> = {}, through = port) =>
  new Cache<T>(through, { name: 'test', ttlMs: 60_000, budgetMs: 5000, ...options })
const refuse = (): never => {
  throw new Error('must not be loaded')
}

describe('giving up', () => {
  it('ends one caller’s waiting and nobody else’s', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const cache = cacheOf<string>({}, watching)
    const slow = heldLoad<string>()
    const impatient = new AbortController()
    let signal: AbortSignal | undefined
    const gone = cache.getOrLoad(id, { signal: impatient.signal }, (context) => {
      signal = context.signal
      return slow.load()
    })
    await slow.called
    const patient = cache.getOrLoad(id, refuse)
    await watching.idle()
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    expect(signal?.aborted).toBe(false)
    slow.finish('value')
    expect(await patient).toBe('value')
  })

  it('in one process does not disturb the load of another, nor who waits for it there', async () => {
    const id = randomUUID()
    const watching = watched(port)
    const [loading, waiting, third] = [cacheOf<string>(), cacheOf<string>({}, watching), cacheOf<string>()]
    const slow = heldLoad<string>()
    let signal: AbortSignal | undefined
    const first = loading.getOrLoad(id, (context) => {
      signal = context.signal
      return slow.load()
    })
    await slow.called
    const impatient = new AbortController()
    const gone = waiting.getOrLoad(id, { signal: impatient.signal }, refuse)
    const patient = third.getOrLoad(id, refuse)
    await expect.poll(() => watching.sent).toContain('acquire')
    await watching.idle()
    impatient.abort(new Error('enough'))
    await expect(gone).rejects.toThrow('enough')
    slow.finish('value')
    expect([await first, await patient, signal?.aborted]).toEqual(['value', 'value', false])
    expect(loading.stats().refusedFills).toBe(0)
  })

  it('of everybody aborts the load, and the next caller starts another', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    const called = gate()
    const aborted = gate()
    const impatient = new AbortController()
    const gone = cache
      .getOrLoad(id, { signal: impatient.signal }, async ({ signal }) => {
        called.open()
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return 'never'
      })
      .finally(() => aborted.open())
    await called.passed
    impatient.abort()
    await expect(gone).rejects.toBe(impatient.signal.reason)
    await aborted.passed
    expect(await cache.getOrLoad(id, () => 'next')).toBe('next')
  })

  it('is not passed on to a caller that comes to the load when everybody else has left it', async () => {
    const id = randomUUID()
    const [looked, called, ended] = [gate(), gate(), gate()]
    const reads: Call[] = []
    const cache = cacheOf<string>(
      {},
      watched(port, (call) =>
        nameOf(call) === 'HGET' && reads.push(call) === 1 ? looked.passed : undefined,
      ),
    )
    const early = cache.getOrLoad(id, () => 'value')
    const impatient = new AbortController()
    const gone = cache.getOrLoad(id, { signal: impatient.signal }, async ({ signal }) => {
      called.open()
      await ended.passed
      signal.throwIfAborted()
      return 'never'
    })
    await called.passed
    impatient.abort()
    await expect(gone).rejects.toBe(impatient.signal.reason)
    looked.open()
    await turns()
    ended.open()
    expect(await early).toBe('value')
  })

  it('can be left to a deadline', async () => {
    const id = randomUUID()
    const cache = cacheOf<string>()
    const slow = heldLoad<string>()
    const patient = cache.getOrLoad(id, slow.load)
    await slow.called
    await expect(cache.getOrLoad(id, { deadlineMs: 20 }, refuse)).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    const { signal } = new AbortController()
    await expect(cache.getOrLoad(id, { deadlineMs: 20, signal }, refuse)).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    slow.finish('value')
    expect(await patient).toBe('value')
    expect(await cache.read(id, { deadlineMs: 5000, signal })).toMatchObject({ value: 'value' })
    await expect(cache.read(id, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })

  it('before it begins asks nobody', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(cacheOf<string>().getOrLoad(randomUUID(), { signal }, refuse)).rejects.toThrow('enough')
  })
})

describe('a loader that fails', () => {
  it('tells its own error, to everybody who waits, and is asked again at once by the next', async () => {
    const id = randomUUID()
    const [cache, elsewhere] = [cacheOf<string>(), cacheOf<string>()]
    const failure = new Error('database down')
    const called = gate()
    const fail = gate()
    const load = async (): Promise<string> => {
      called.open()
      await fail.passed
      throw failure
    }
    const both = [cache.getOrLoad(id, load), cache.getOrLoad(id, load)]
    await called.passed
    fail.open()
    for (const call of both) await expect(call).rejects.toBe(failure)
    const from = performance.now()
    expect(await elsewhere.getOrLoad(id, () => 'value')).toBe('value')
    expect(performance.now() - from).toBeLessThan(5000)
  })

  it('that throws before it returns a promise is no different', async () => {
    const failure = new TypeError('at once')
    const load = (): never => {
      throw failure
    }
    await expect(cacheOf<string>().getOrLoad(randomUUID(), load)).rejects.toBe(failure)
  })
})

describe('a load whose primary is away when it would store', () => {
  /** Whether it is away, and which calls gave up for it. */
  function away() {
    const state = { isAway: false, gaveUp: [] as string[] }
    // As the port does: until the deadline, or until somebody answers.
    const call = async (one: Call, options?: PortCallOptions) => {
      const until = performance.now() + (options?.deadlineMs ?? 300)
      const isOver = () => performance.now() >= until || options?.signal?.aborted === true
      while (state.isAway && !isOver()) await turns()
      if (!state.isAway) return await port.call(one, options)
      state.gaveUp.push(nameOf(one))
      throw new OutcomeUnknownError('it did not answer', { node: 'there' })
    }
    return { state, through: portWith(port, { call }) }
  }

  it('gives others the right to load once one answers in its place', async () => {
    const id = randomUUID()
    const { state, through } = away()
    const value = await cacheOf<string>({ budgetMs: 100 }, through).getOrLoad(id, () => {
      state.isAway = true
      return 'value'
    })
    expect(value).toBe('value')
    await expect.poll(() => state.gaveUp, { timeout: 5000 }).toContain('release')
    state.isAway = false
    const elsewhere = await cacheOf<string>().fetch(id, () => 'value')
    expect(elsewhere).toMatchObject({ how: 'load' })
    // Of the ten seconds for which the load might have stored.
    expect(elsewhere.durationMs).toBeLessThan(5000)
  })

  it('does not try to any more once its cache is closed', async () => {
    const { state, through } = away()
    const cache = cacheOf<string>({ budgetMs: 100 }, through)
    await cache.getOrLoad(randomUUID(), () => {
      state.isAway = true
      return 'value'
    })
    await expect.poll(() => state.gaveUp, { timeout: 5000 }).toContain('release')
    await cache.close()
    await expect.poll(() => state.gaveUp.filter((name) => name === 'release')).toHaveLength(2)
  })
})
