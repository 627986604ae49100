import { afterEach, describe, expect, it, vi } from 'vitest'
import { EPOCH_US } from '../../../src/ratelimit/algorithm.js'
import { calendarOf } from '../../../src/ratelimit/calendar.js'
import { fixedWindow, RateLimiter } from '../../../src/ratelimit/index.js'
import { memoryPort, TestClock } from '../../../src/testing/index.js'

const at = (text: string) => Date.parse(text) * 1000 - EPOCH_US
const HOUR_US = 3_600_000_000

afterEach(() => {
  vi.useRealTimers()
})

describe('windows of the calendar', () => {
  it.each([
    ['day', 'UTC', '2026-03-01T12:00:00Z', '2026-03-01T00:00:00Z', 24, 24],
    // Clocks are put forward on 29 March, and back on 25 October.
    ['day', 'Europe/Zurich', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', 23, 24],
    ['day', 'Europe/Zurich', '2026-10-24T22:30:00Z', '2026-10-24T22:00:00Z', 25, 24],
    ['day', 'Asia/Kathmandu', '2026-05-05T18:14:59Z', '2026-05-04T18:15:00Z', 24, 24],
    // A day that begins at one.
    ['day', 'Africa/Cairo', '2026-04-24T10:00:00Z', '2026-04-23T22:00:00Z', 23, 24],
    ['day', 'Pacific/Kiritimati', '2026-01-01T10:00:00Z', '2026-01-01T10:00:00Z', 24, 24],
    ['month', 'UTC', '2028-02-29T23:59:59Z', '2028-02-01T00:00:00Z', 29 * 24, 31 * 24],
    ['month', 'America/New_York', '2026-12-31T23:00:00Z', '2026-12-01T05:00:00Z', 31 * 24, 31 * 24],
    ['month', 'Europe/Zurich', '2026-03-31T21:59:59Z', '2026-02-28T23:00:00Z', 31 * 24 - 1, 30 * 24],
  ] as const)('of a %s in %s at %s', (period, timeZone, now, from, hours, after) => {
    const windows = calendarOf(period, timeZone)(at(now))
    expect(windows.from).toBe(at(from))
    expect((windows.to - windows.from) / HOUR_US).toBe(hours)
    expect((windows.next - windows.to) / HOUR_US).toBe(after)
  })

  it.each([0, Date.UTC(2024, 0, 1), Date.UTC(2090, 0, 1)])(
    'are those of the server, also at %i of this process',
    async (now) => {
      vi.useFakeTimers({ toFake: ['Date'], now })
      const limiter = new RateLimiter(memoryPort({ clock: new TestClock() }), {
        name: 'days',
        tiers: { day: fixedWindow({ limit: 2, align: { period: 'day', timeZone: 'Pacific/Kiritimati' } }) },
        whenUnavailable: 'deny',
      })
      expect(await limiter.consume('a')).toMatchObject({
        allowed: true,
        tiers: [{ resetMs: 10 * 3_600_000 }],
      })
      expect(await limiter.consume('a')).toMatchObject({ allowed: true, tiers: [{ remaining: 0 }] })
      expect(await limiter.consume('a')).toMatchObject({ allowed: false })
    },
  )

  it('are those of the server, however wrong the clock of the process is', async () => {
    const clock = new TestClock(Date.UTC(2031, 0, 31, 23, 59, 59))
    const limiter = new RateLimiter(memoryPort({ clock }), {
      name: 'months',
      tiers: { month: fixedWindow({ limit: 2, align: { period: 'month' } }) },
      whenUnavailable: 'deny',
    })
    expect(await limiter.consume('a', { cost: 2 })).toMatchObject({
      allowed: true,
      tiers: [{ resetMs: 1000 }],
    })
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, retryAfterMs: 1000 })
    clock.advance(999)
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, retryAfterMs: 1 })
    clock.advance(1)
    expect(await limiter.consume('a', { cost: 2 })).toMatchObject({
      allowed: true,
      tiers: [{ resetMs: 28 * 86_400_000 }],
    })
  })
})
