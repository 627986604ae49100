import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { fixedWindow, PLANS, RateLimiter, tokenBucket } from '../../../slotwise/src/ratelimit/index.js'
import { useOpsPort } from '../support/ops-port.js'
import { asOps, json, slotwise } from '../support/slotwise.js'

const env = asOps()
const { namespace, port } = useOpsPort()

const tiers = {
  second: tokenBucket({ capacity: 10, refillPerSecond: 1 / 600 }),
  month: fixedWindow({ limit: 1000, align: { period: 'month', timeZone: 'Europe/Zurich' } }),
}
const AS = [
  ['--tier', 'second=tokenBucket:capacity=10,refillPerSecond=1/600'],
  ['--tier', 'month=fixedWindow:limit=1000,period=month,timeZone=Europe/Zurich'],
].flat()
const name = 'api'
let limiter: RateLimiter<keyof typeof tiers>
let subject = ''
beforeEach(() => {
  limiter = new RateLimiter(port(), {
    name,
    tiers,
    whenUnavailable: 'deny',
    deadlineMs: 5000,
    evictionCheck: 'off',
  })
  subject = `customer-${randomUUID().slice(0, 8)}`
})

const args = (...words: readonly string[]) => ['limits', ...words, '--namespace', namespace]

describe('show', () => {
  it('tells of each limit what is left, and when there is more', async () => {
    await limiter.consume(subject, { cost: 3 })
    const shown = await slotwise(args('show', name, subject, ...AS), { env })
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout).toMatch(/^\d+ B · written \d{4}-.*Z · forgotten in \d+ min/)
    expect(shown.stdout).toMatch(/\nLIMIT +LEFT +OF +MORE IN +ALL IN\n/)
    expect(shown.stdout).toMatch(/\nsecond +7 +10 +(10 min 0 s|9 min \d+ s) +(30 min 0 s|29 min \d+ s)\n/)
    expect(shown.stdout).toMatch(/\nmonth +997 +1,000 /)
    const { document } = await json(args('show', name, subject, ...AS), { env })
    expect(document).toMatchObject({
      command: 'limits show',
      name,
      subject,
      state: 'known',
      blockedMs: 0,
      tiers: [
        { name: 'second', remaining: 7 },
        { name: 'month', remaining: 997 },
      ],
    })
  })

  it('tells without the limits what the record tells, and with others that they are others', async () => {
    await limiter.consume(subject)
    const unread = await slotwise(args('show', name, subject), { env })
    expect(unread.stdout).toMatch(/forgotten in .*\n.*--tier or --plan/)
    const foreign = await slotwise(args('show', name, subject, '--plan', 'FREE'), { env })
    expect(foreign.stdout).toContain('of other limits')
    const { document } = await json(args('show', name, 'nobody'), { env })
    expect(document).toMatchObject({ state: 'fresh' })
  })

  it('finds subjects of parts, and those of a tenant', async () => {
    await limiter.consume({ tenant: 'acme', user: 7 }, { cost: 2 })
    const parts = '["tenant","acme","user",7]'
    const ofParts = await json(args('show', name, parts, ...AS), { env })
    expect(ofParts.document).toMatchObject({ tiers: [{ remaining: 8 }, { remaining: 998 }] })
    await limiter.forTenant('acme').consume(subject, { cost: 4 })
    const ofTenant = await json(args('show', name, subject, '--tenant', 'acme', ...AS), { env })
    expect(ofTenant.document).toMatchObject({ tiers: [{ remaining: 6 }, { remaining: 996 }] })
  })
})

it('a user in the slot of its tenant is shown, blocked and reset by --within', async () => {
  const together = new RateLimiter<'second' | 'common', { readonly tenant: string; readonly user: string }>(
    port(),
    {
      name,
      tiers: {
        second: tiers.second,
        common: fixedWindow({ limit: 100, windowMs: 3_600_000, by: 'tenant' }),
      },
      whenUnavailable: 'deny',
      deadlineMs: 5000,
      evictionCheck: 'off',
      together: true,
    },
  )
  const caller = { tenant: subject, user: 'ada' }
  await together.consume(caller, { cost: { second: 2, common: 9 } })
  const who = [JSON.stringify(['tenant', subject, 'user', 'ada']), '--within', `tenant=${subject}`]
  const own = ['--tier', 'second=tokenBucket:capacity=10,refillPerSecond=1/600']
  const shown = await json(args('show', name, ...who, ...own), { env })
  expect(shown.document).toMatchObject({ state: 'known', tiers: [{ name: 'second', remaining: 8 }] })
  await slotwise(args('block', name, ...who, '--for', '15m', ...own), { env })
  expect(await together.consume(caller)).toMatchObject({ allowed: false, reason: 'blocked' })
  const reset = await json(args('reset', name, ...who, '--yes'), { env })
  expect(reset.document).toMatchObject({ reset: true })
  expect(await together.peek(caller)).toMatchObject([{ remaining: 10 }, { remaining: 91 }])
  const wrong = await slotwise(args('show', name, 'x', '--within', 'acme'), { env })
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('tenant=acme') })
})

describe('block', () => {
  it('refuses a subject for a time, shows for how long, and ends it', async () => {
    await limiter.consume(subject)
    const blocked = await slotwise(args('block', name, subject, '--for', '15m', ...AS), { env })
    expect(blocked).toMatchObject({ code: 0, stdout: `${subject} is refused for 15 min 0 s.\n` })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false, reason: 'blocked' })
    const shown = await slotwise(args('show', name, subject, ...AS), { env })
    expect(shown.stdout).toMatch(/ · blocked for another 1[45] min \d+ s\n/)
    const ended = await slotwise(args('block', name, subject, '--for', '0', ...AS), { env })
    expect(ended.stdout).toBe(`${subject} is not blocked.\n`)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
  })

  it('does not guess at limits, and forgets no record of others', async () => {
    await limiter.consume(subject)
    const without = await slotwise(args('block', name, subject, '--for', '15m'), { env })
    expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('--tier or --plan') })
    const others = await slotwise(args('block', name, subject, '--for', '15m', '--plan', 'FREE'), { env })
    expect(others).toMatchObject({ code: 2, stderr: expect.stringContaining('of other limits') })
    expect(await limiter.peek(subject)).toMatchObject([{ remaining: 9 }, {}])
  })

  it('takes the plans of the library', async () => {
    const free = new RateLimiter(port(), {
      name,
      tiers: PLANS.FREE,
      whenUnavailable: 'deny',
      deadlineMs: 5000,
      evictionCheck: 'off',
    })
    await slotwise(args('block', name, subject, '--for', '2h', '--plan', 'FREE'), { env })
    expect(await free.consume(subject)).toMatchObject({ reason: 'blocked' })
  })
})

describe('reset', () => {
  it('lets a subject begin anew once that is confirmed', async () => {
    await limiter.consume(subject, { cost: 10 })
    const refusal = await slotwise(args('reset', name, subject), { env })
    expect(refusal).toMatchObject({ code: 1, stdout: '' })
    expect(refusal.stderr).toContain(`What ${subject} has consumed of ${name} will be forgotten`)
    expect(await limiter.consume(subject)).toMatchObject({ allowed: false })
    const done = await slotwise(args('reset', name, subject), { env, input: 'y\n' })
    expect(done).toMatchObject({ code: 0, stdout: `${subject} begins anew.\n` })
    expect(await limiter.consume(subject)).toMatchObject({ allowed: true })
    const again = await json(args('reset', name, 'nobody', '--yes'), { env })
    expect(again.document).toEqual({ command: 'limits reset', name, subject: 'nobody', reset: false })
  })
})

it.each([
  [['--tier', 'minute'], 'is no limit: give NAME=KIND:OPTION=VALUE'],
  [['--tier', 'minute=window:limit=1'], 'the kind one of tokenBucket'],
  [['--tier', 'minute=slidingWindow:limit=1,length=2'], 'length=2 is no option of slidingWindow'],
  [['--tier', 'minute=slidingWindow:limit=0,windowMs=1000'], 'minute of --tier is no limit: limit must be'],
  [['--tier', 'a=slidingLog:limit=1,windowMs=9', '--tier', 'a=slidingLog:limit=1,windowMs=9'], 'a twice'],
  [['--tier', 'a=slidingLog:limit=1,windowMs=9', '--plan', 'FREE'], 'either by --tier or by --plan'],
])('what is no limit is refused in one sentence: %j', async (words, message) => {
  const { code, stderr } = await slotwise(args('show', name, 'x', ...words), { env })
  expect(code).toBe(2)
  expect(stderr).toContain(message)
})
