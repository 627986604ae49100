import type { Locks, PostgresPool } from 'slotwise/lock'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RecountRepository } from '../src/repositories/recounts.js'
import { RecountService } from '../src/services/recount.js'

const MINUTE_MS = 60_000
const NIGHT = { hour: 3, minute: 30 }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Date.UTC(2030, 0, 1, 3, 29) })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A process that looks what there is to do, and does nothing. */
function nightly(run: (day: string) => Promise<boolean> = async () => true) {
  const failed: unknown[] = []
  const runs: (readonly [day: string, at: string])[] = []
  const hasEnded = async (day: string) => {
    runs.push([day, new Date().toISOString()])
    return await run(day)
  }
  const service = new RecountService({
    locks: {} as Locks,
    pool: {} as PostgresPool,
    recounts: { hasEnded } as unknown as RecountRepository,
    onError: (error) => void failed.push(error),
  })
  return { service, failed, runs, days: () => runs.map(([day]) => day) }
}

describe('the time of the nightly recount', () => {
  it('is the one that was set, by UTC, and half a minute later at most', async () => {
    const { service, runs } = nightly()
    service.start(NIGHT)
    await vi.advanceTimersByTimeAsync(MINUTE_MS - 1)
    expect(runs).toEqual([])
    await vi.advanceTimersByTimeAsync(MINUTE_MS / 2)
    expect(runs).toEqual([['2030-01-01', expect.stringMatching(/^2030-01-01T03:30:[012]/) as string]])
    await service.close()
  })

  it('is tomorrow where it is over today', async () => {
    vi.setSystemTime(Date.UTC(2030, 0, 1, 3, 30))
    const { service, days } = nightly()
    service.start(NIGHT)
    await vi.advanceTimersByTimeAsync(23 * 60 * MINUTE_MS)
    expect(days()).toEqual([])
    await vi.advanceTimersByTimeAsync(61 * MINUTE_MS)
    expect(days()).toEqual(['2030-01-02'])
    await service.close()
  })

  it('comes once every night, whatever it has come to before, and however long it took', async () => {
    const error = new Error('no database')
    const { service, days, failed } = nightly(async (day) => {
      if (day === '2030-01-02') throw error
      // Six hours, as the lock allows.
      if (day === '2030-01-03') await new Promise((resolve) => void setTimeout(resolve, 360 * MINUTE_MS))
      return true
    })
    service.start(NIGHT)
    await vi.advanceTimersByTimeAsync(5 * 24 * 60 * MINUTE_MS)
    expect(days()).toEqual(['2030-01-01', '2030-01-02', '2030-01-03', '2030-01-04', '2030-01-05'])
    expect(failed).toEqual([error])
    await service.close()
  })

  it('is not the same in all processes', async () => {
    const services = Array.from({ length: 8 }, () => nightly())
    for (const { service } of services) service.start(NIGHT)
    await vi.advanceTimersByTimeAsync(2 * MINUTE_MS)
    const times = new Set(services.flatMap(({ runs }) => runs.map(([, at]) => at)))
    expect(times.size).toBeGreaterThan(1)
    await Promise.all(services.map(({ service }) => service.close()))
  })

  it('comes no more once the service is closed, which waits for the one under way', async () => {
    let end: (() => void) | undefined
    const { service, days } = nightly(async () => {
      await new Promise<void>((resolve) => (end = resolve))
      return true
    })
    const idle = nightly()
    idle.service.start(NIGHT)
    await idle.service.close()
    service.start(NIGHT)
    await vi.advanceTimersByTimeAsync(2 * MINUTE_MS)
    let isClosed = false
    const closed = service.close().then(() => (isClosed = true))
    await vi.advanceTimersByTimeAsync(MINUTE_MS)
    expect(isClosed).toBe(false)
    end?.()
    await closed
    await vi.advanceTimersByTimeAsync(3 * 24 * 60 * MINUTE_MS)
    expect(days()).toEqual(['2030-01-01'])
    expect(idle.days()).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
    await service.close()
  })
})
