import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  ClosedError,
  ConfigurationError,
  LockBusyError,
  LockLostError,
  LockUnavailableError,
  UnexpectedReplyError,
  UnstorableResultError,
} from '../../../src/errors.js'
import acquire from '../../../src/lock/acquire.lua.js'
import { CLOCKS, type Clocks } from '../../../src/lock/deadline.js'
import { Once, type OnceOptions } from '../../../src/lock/index.js'
import look from '../../../src/lock/look.lua.js'
import finish from '../../../src/lock/once/finish.lua.js'
import forget from '../../../src/lock/once/forget.lua.js'
import release from '../../../src/lock/release.lua.js'
import { keyOf, type RedisPort, type Reply, type ScriptSource } from '../../../src/redis/index.js'
import { twoPorts } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { type ClockedPort, clockedPort } from '../../support/clocked-port.js'
import { waitingFor } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'
import { mutant } from '../ratelimit/stage.js'
import { naiveOnce } from './naive.js'

let ports: readonly [RedisPort, RedisPort]
let several: readonly [Once<string>, Once<string>]
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
  several = [onceOf(), onceOf({}, ports[1])]
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const onceOf = <R = string>(options: Partial<OnceOptions> = {}, port = ports[0]): Once<R> =>
  new Once<R>(port, { name: 'test', ttlMs: 5000, resultTtlMs: 60_000, quarantine: false, ...options })
const keyOfRun = (id: string) => keyOf({ namespace: 'test', pattern: 'once', name: 'test' }, id)
const lineOf = (id: string): Promise<number> => waitingFor(ports[0], keyOfRun(id))
const isRunning = (id: string) =>
  vi.waitFor(async () => expect(await several[0].status(id)).toMatchObject({ state: 'running' }), {
    interval: 2,
  })
/** A promise, and what settles it. */
function gate<T = void>() {
  let open: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

describe('what is run once', () => {
  it('is run by one of many who ask at the same time, and all get its result', async () => {
    const id = randomUUID()
    let ran = 0
    const run = async () => {
      ran++
      await sleep(20)
      return `result ${ran}`
    }
    const all = Array.from({ length: 40 }, (_, i) => several[i % 2 === 0 ? 0 : 1].run(id, run))
    expect(new Set(await Promise.all(all))).toEqual(new Set(['result 1']))
    expect(await several[1].run(id, run)).toBe('result 1')
    expect(ran).toBe(1)
  })

  it('would be run twice by who looks and then stores, as textbooks do', async () => {
    const key = keyOf({ namespace: 'test', pattern: 'once', name: 'naive' }, randomUUID())
    let ran = 0
    const both = gate()
    const run = async () => {
      if (++ran === 2) both.open()
      await both.promise
      return `result ${ran}`
    }
    await Promise.all([naiveOnce(ports[0], key, run), naiveOnce(ports[1], key, run)])
    expect(ran).toBe(2)
  })

  it('tells all who wait at once, and asks once for each then', async () => {
    const id = randomUUID()
    let asked = 0
    const counting = portWith(ports[1], {
      call: (call, options) => {
        if ('script' in call && call.script.name === 'lock/acquire') asked++
        return ports[1].call(call, options)
      },
    } satisfies Partial<RedisPort>)
    await using there = onceOf({ ttlMs: 20_000 }, counting)
    const running = gate<string>()
    const first = onceOf({ ttlMs: 20_000 }).run(id, () => running.promise)
    await isRunning(id)
    const waiting = Array.from({ length: 6 }, () => there.run(id, async () => 'nobody runs it'))
    // Once for a place, and once more as soon as the channel is heard.
    await vi.waitFor(() => expect(asked).toBe(12))
    const from = performance.now()
    running.open('done')
    expect(await Promise.all([first, ...waiting])).toEqual(Array.from({ length: 7 }, () => 'done'))
    expect(asked).toBe(18)
    expect(performance.now() - from).toBeLessThan(2000)
  })

  it('is run by the first of those who wait when it fails, and only its caller hears of that', async () => {
    const id = randomUUID()
    const running = gate()
    const broken = several[0].run(id, async () => {
      await running.promise
      throw new Error('broken')
    })
    broken.catch(() => {})
    await isRunning(id)
    const ran: number[] = []
    const all: Promise<string>[] = []
    for (let i = 0; i < 3; i++) {
      const one = several[i % 2 === 0 ? 1 : 0].run(id, async () => {
        ran.push(i)
        return `by ${i}`
      })
      all.push(one)
      await vi.waitFor(async () => expect(await lineOf(id)).toBe(i + 1), { interval: 2 })
    }
    running.open()
    await expect(broken).rejects.toThrow('broken')
    expect(await Promise.all(all)).toEqual(['by 0', 'by 0', 'by 0'])
    expect(ran).toEqual([0])
  })

  it('is run again when a process has died in the middle, after its time and not before', async () => {
    const id = randomUUID()
    const dead = onceOf({ ttlMs: 300 }, dying(ports[0]))
    const from = performance.now()
    let died = false
    // It does not extend, nor store, nor release any more.
    void dead
      .run(id, async () => {
        died = true
        return new Promise<string>(() => {})
      })
      .catch(() => {})
    await vi.waitFor(() => expect(died).toBe(true))
    expect(await several[1].run(id, async () => 'again')).toBe('again')
    expect(performance.now() - from).toBeGreaterThan(290)
  })

  it('stores nothing of who comes after its time, which does not overwrite what was stored since', async () => {
    const id = randomUUID()
    const running = gate<string>()
    const late = onceOf({ ttlMs: 400 }, dying(ports[0], ['lock/extend'])).run(id, () => running.promise)
    late.catch(() => {})
    await isRunning(id)
    expect(await several[1].run(id, async () => 'newer')).toBe('newer')
    running.open('older')
    await expect(late).rejects.toThrow(LockLostError)
    expect(await several[0].run(id, async () => 'nobody runs it')).toBe('newer')
  })

  it('is stored by nobody whose run was taken away, nor by who is over by a clock of its own', async () => {
    const id = randomUUID()
    const key = keyOfRun(id)
    const once = onceOf({ ttlMs: 20_000 })
    const taken = once.run(id, async () => {
      await ports[0].call({ key, command: ['DEL', key] })
      expect(await several[1].run(id, async () => 'newer')).toBe('newer')
      return 'older'
    })
    await expect(taken).rejects.toMatchObject({ code: 'LOCK_LOST', reason: 'taken' })
    expect(await several[1].run(id, async () => 'nobody runs it')).toBe('newer')
    // As after the machine was suspended.
    const other = randomUUID()
    const suspended = once.run(other, async () => {
      const now = Date.now()
      const clock = vi.spyOn(Date, 'now').mockReturnValue(now + 30_000)
      queueMicrotask(() => queueMicrotask(() => setImmediate(() => clock.mockRestore())))
      return 'late'
    })
    await expect(suspended).rejects.toThrow(LockLostError)
    expect((await once.status(other)).state).not.toBe('done')
  })

  it('is heard of by who is told to wait when it has been stored meanwhile', async () => {
    const id = randomUUID()
    const stored = gate()
    let isHeld = false
    let answered = 0
    const slow = portWith(ports[1], {
      call: async (call, options) => {
        const reply = await ports[1].call(call, options)
        // The answer to the second who asks is on its way for longer than the message.
        if (isHeld && 'script' in call && call.script.name === 'lock/acquire') {
          isHeld = false
          await stored.promise
        }
        if ('script' in call && call.script.name === 'lock/acquire') answered++
        return reply
      },
    } satisfies Partial<RedisPort>)
    await using there = onceOf({ ttlMs: 20_000 }, slow)
    const running = gate<string>()
    const first = onceOf({ ttlMs: 20_000 }).run(id, () => running.promise)
    await isRunning(id)
    const before = there.run(id, async () => 'nobody runs it')
    // Once for a place, and once more as soon as the channel is heard.
    await vi.waitFor(() => expect(answered).toBe(2), { interval: 2 })
    isHeld = true
    const after = there.run(id, async () => 'nobody runs it')
    await vi.waitFor(async () => expect(await lineOf(id)).toBe(2), { interval: 2 })
    running.open('done')
    expect(await Promise.all([first, before])).toEqual(['done', 'done'])
    const from = performance.now()
    stored.open()
    expect(await after).toBe('done')
    expect(performance.now() - from).toBeLessThan(2000)
  })

  it('leaves nobody behind who watches the clocks', async () => {
    let watching = 0
    const clocks: Clocks = {
      monotonicMs: () => CLOCKS.monotonicMs(),
      wallMs: () => CLOCKS.wallMs(),
      after: (ms, then) => CLOCKS.after(ms, then),
      onStep: () => {
        watching++
        return () => void watching--
      },
    }
    const once = new Once<number>(
      ports[0],
      { name: 'test', ttlMs: 5000, resultTtlMs: 5000, quarantine: false },
      clocks,
    )
    expect(await once.run(randomUUID(), async () => watching)).toBe(1)
    expect(watching).toBe(0)
  })

  it('may take longer than its time, which it extends, and no longer than it was given', async () => {
    const id = randomUUID()
    const once = onceOf({ ttlMs: 400 })
    const slow = once.run(id, async () => {
      await sleep(1000)
      return 'slow'
    })
    await isRunning(id)
    await expect(several[1].run(id, { waitMs: 500 }, async () => 'no')).rejects.toThrow(LockBusyError)
    expect(await slow).toBe('slow')
    const hanging = once.run(randomUUID(), { maxRunMs: 600 }, async ({ signal }) => {
      await vi.waitFor(() => expect(signal.aborted).toBe(true), { timeout: 5000 })
      return 'too late'
    })
    await expect(hanging).rejects.toThrow(LockLostError)
  })

  it('does not say that a result was stored which Redis has not confirmed', async () => {
    const id = randomUUID()
    const cut = dying(ports[0], ['lock/once/finish'])
    await expect(onceOf({ ttlMs: 500 }, cut).run(id, async () => 'x')).rejects.toThrow(LockUnavailableError)
    expect(await several[0].status(id)).toEqual({ state: 'absent' })
  })

  it('is no loss where it is stored while its time would be extended', async () => {
    const stored = gate()
    const slow = portWith(ports[0], {
      call: async (...[call, options]: Parameters<RedisPort['call']>) => {
        const reply = await ports[0].call(call, options)
        if ('script' in call && call.script.name === 'lock/once/finish') await stored.promise
        return reply
      },
    })
    let end: AbortSignal | undefined
    let startedAt = Number.POSITIVE_INFINITY
    const running = onceOf({ ttlMs: 3000 }, slow).run(randomUUID(), async ({ signal }) => {
      end = signal
      startedAt = performance.now()
      return 'stored'
    })
    // A third of its time: it would be extended then.
    await vi.waitFor(() => expect(performance.now() - startedAt).toBeGreaterThan(1200), {
      timeout: 10_000,
      interval: 20,
    })
    stored.open()
    expect(await running).toBe('stored')
    expect(end?.aborted).toBe(false)
  })

  it('may be given a time that is longer than what a run may take unless told', async () => {
    expect(await onceOf({ ttlMs: 900_000 }).run(randomUUID(), async () => 'long')).toBe('long')
  })

  it('is stored once where the answer was lost and it is asked for again', async () => {
    const id = randomUUID()
    let sent = 0
    const twice = portWith(ports[0], {
      call: async (call, options) => {
        if ('script' in call && call.script.name === 'lock/once/finish') {
          sent++
          await ports[0].call(call, options)
        }
        return ports[0].call(call, options)
      },
    } satisfies Partial<RedisPort>)
    expect(await onceOf({}, twice).run(id, async () => 'x')).toBe('x')
    expect(sent).toBe(1)
  })

  it('stands where status says, and is run again after it was forgotten', async () => {
    const id = randomUUID()
    const [one] = several
    expect(await one.status(id)).toEqual({ state: 'absent' })
    expect(await one.forget(id)).toBe(false)
    const running = gate<string>()
    const first = onceOf({ holder: 'host-7' }).run(id, () => running.promise)
    await vi.waitFor(async () => {
      expect(await one.status(id)).toMatchObject({ state: 'running', holder: 'host-7' })
    })
    expect(await one.forget(id)).toBe(false)
    running.open('first')
    await first
    const done = await one.status(id)
    expect.assert(done.state === 'done')
    expect(done.result).toBe('first')
    expect(done.remainingMs).toBeGreaterThan(50_000)
    expect(await one.forget(id)).toBe(true)
    expect(await one.forget(id)).toBe(false)
    let token = 0n
    const again = one.run(id, async (run) => {
      token = run.token
      return 'second'
    })
    expect(await again).toBe('second')
    expect(token).toBeGreaterThan(done.token)
  })

  it('is run again when its result is no longer kept', async () => {
    const id = randomUUID()
    const once = onceOf<number>({ resultTtlMs: 200 })
    let ran = 0
    expect(await once.run(id, async () => ++ran)).toBe(1)
    await vi.waitFor(async () => expect(await once.run(id, async () => ++ran)).toBe(2), { timeout: 5000 })
  })

  it('gives everybody what was stored, read back, and by a serializer of theirs', async () => {
    const id = randomUUID()
    const dates = onceOf<unknown>()
    const at = new Date(0)
    expect(await dates.run(id, async () => ({ at }))).toEqual({ at: at.toISOString() })
    expect(await dates.run(id, async () => ({}))).toEqual({ at: at.toISOString() })
    const serializer = { stringify: (value: unknown) => `<${String(value)}>`, parse: (text: string) => text }
    const own = onceOf<unknown>({ serializer })
    expect(await own.run(randomUUID(), async () => 7)).toBe('<7>')
    await expect(onceOf({ serializer }).run(id, async () => 'x')).resolves.toContain('at')
    const broken = onceOf<unknown>({
      serializer: {
        ...serializer,
        parse: () => {
          throw new Error('what is this')
        },
      },
    })
    await expect(broken.run(id, async () => 'x')).rejects.toThrow(UnexpectedReplyError)
  })

  it.each([
    ['undefined', () => undefined],
    ['a function', () => () => {}],
    ['a circle', () => circular()],
    ['a bigint', () => 1n],
    ['more than the limit', () => 'é'.repeat(60)],
  ])('refuses %s as a result, and lets the next one run it', async (_, value) => {
    const id = randomUUID()
    const once = onceOf<unknown>({ maxResultBytes: 100 })
    await expect(once.run(id, async () => value())).rejects.toThrow(UnstorableResultError)
    expect(await once.run(id, { waitMs: 0 }, async () => 'ok')).toBe('ok')
  })

  it.each([
    { ttlMs: 0 },
    { ttlMs: 1.5 },
    { resultTtlMs: 0 },
    { resultTtlMs: Number.POSITIVE_INFINITY },
    { maxResultBytes: 0 },
    { name: 'a b' },
  ])('refuses %o', (options) => {
    expect(() => onceOf(options)).toThrow(ConfigurationError)
  })

  it('keeps tenants apart, stops waiting when told to, and runs nothing after it was closed', async () => {
    const id = randomUUID()
    const once = onceOf()
    expect(await once.forTenant('a').run(id, async () => 'a')).toBe('a')
    expect(await once.forTenant('b').run(id, async () => 'b')).toBe('b')
    const running = gate<string>()
    const first = once.run(id, () => running.promise)
    const controller = new AbortController()
    await isRunning(id)
    const waiting = once.run(id, { signal: controller.signal }, async () => 'no')
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await once.close()
    await expect(once.run(id, async () => 'no')).rejects.toThrow(ClosedError)
    await expect(once.forget(id)).rejects.toThrow(ClosedError)
    running.open('under way')
    expect(await first).toBe('under way')
  })
})

function circular(): unknown {
  const one: { self?: unknown } = {}
  one.self = one
  return one
}

/** A port of a process that has died for all but what it takes to begin. */
function dying(
  port: RedisPort,
  of: readonly string[] = ['lock/extend', 'lock/release', 'lock/once/finish'],
): RedisPort {
  return portWith(port, {
    call: (call, options) =>
      'script' in call && of.includes(call.script.name)
        ? Promise.reject(new Error('no answer'))
        : port.call(call, options),
  } satisfies Partial<RedisPort>)
}

describe('results, by a clock of ours', () => {
  let clocked: ClockedPort
  let now = 1_790_000_000_000
  beforeAll(async () => {
    clocked = await clockedPort('model', now)
  })
  afterAll(() => clocked.port.close())

  interface Step {
    readonly kind: 'begin' | 'finish' | 'fail' | 'forget'
    readonly afterMs: number
    readonly who: number
    readonly ms: number
  }
  const steps = fc.array(
    fc.record<Step>({
      kind: fc.constantFrom('begin', 'begin', 'begin', 'finish', 'finish', 'fail', 'forget'),
      afterMs: fc.nat(300),
      who: fc.nat(2),
      ms: fc.integer({ min: 10, max: 1500 }),
    }),
    { minLength: 15, maxLength: 30 },
  )

  /** Against a plain record: who runs until when, or what is kept until when. */
  async function play(history: readonly Step[], finishing: ScriptSource = finish): Promise<void> {
    const key = keyOf({ namespace: 'model', pattern: 'once', name: 'm' }, randomUUID())
    let running: { readonly owner: string; readonly until: number } | undefined
    let kept: { readonly owner: string; readonly result: string; readonly until: number } | undefined
    const run = async (script: ScriptSource, ...args: (string | number)[]): Promise<Reply> => {
      const keys = script.keys.length > 1 ? ([key, key] as const) : ([key] as const)
      return clocked.port.call({ script, keys, args, repeat: 'safe' })
    }
    let results = 0
    for (const { kind, afterMs, who, ms } of history) {
      now += afterMs
      clocked.set(now)
      const owner = 'abc'.charAt(who).repeat(22)
      if (running !== undefined && running.until <= now) running = undefined
      const fresh = kept !== undefined && kept.until > now ? kept : undefined
      if (kind === 'begin') {
        const [what, text] = (await run(acquire, owner, ms, 0, 0, 0, '', '', '')) as readonly unknown[]
        if (fresh !== undefined) expect([what, text]).toEqual([2, fresh.result])
        else if (running === undefined) {
          expect(what).toBe(1)
          running = { owner, until: now + ms }
          kept = undefined
        } else expect(what).toBe(running.owner === owner ? 1 : 0)
      } else if (kind === 'finish') {
        const result = `result ${results++}`
        const stored = (await run(finishing, owner, result, ms)) === 1
        const mine = running?.owner === owner
        // Asking again is answered alike, and changes nothing.
        expect(stored).toBe(mine || kept?.owner === owner)
        if (!mine) continue
        running = undefined
        kept = { owner, result, until: now + ms }
      } else if (kind === 'fail') {
        expect((await run(release, owner)) === 1).toBe(running?.owner === owner)
        if (running?.owner === owner) running = undefined
      } else {
        expect(await run(forget)).toBe(fresh === undefined ? 0 : 1)
        kept = undefined
      }
      const [state, , , text] = (await run(look)) as readonly unknown[]
      if (kept !== undefined && kept.until > now) expect([state, text]).toEqual([2, kept.result])
      else expect(state).toBe(running === undefined ? 0 : 1)
    }
  }
  const property = (numRuns: number, finishing?: ScriptSource) =>
    fc.assert(
      fc.asyncProperty(steps, (history) => play(history, finishing)),
      { numRuns, endOnFailure: finishing !== undefined },
    )

  it('are stored by who has the right to, and by nobody else', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    await expect(property(rounds(40, 5000))).resolves.toBeUndefined()
  })

  it.each([
    ['time is over', '<= now then return 0', '<= 0 then return 0'],
    ['lock it is not', 'or string.sub(saved, 1, 22) ~= ARGV[1]', ''],
  ])('would be seen to be stored by whose %s', async (_, from, to) => {
    await expect(property(300, mutant(finish, from, to))).rejects.toThrow(/Property failed/)
  })
})
