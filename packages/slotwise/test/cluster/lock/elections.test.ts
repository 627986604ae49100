import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { ClosedError, ConfigurationError, LockLostError } from '../../../src/errors.js'
import { CLOCKS, type Clocks } from '../../../src/lock/deadline.js'
import {
  type ElectionEvent,
  Elections,
  type ElectionsOptions,
  type Leadership,
} from '../../../src/lock/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import { hear } from '../../../src/telemetry.js'
import { twoPorts } from '../../support/any-port.js'
import { waitingFor } from '../../support/lock-record.js'
import { portWith } from '../../support/port-with.js'
import { NaiveLeader } from './naive.js'

let ports: readonly [RedisPort, RedisPort]
beforeAll(async () => {
  ports = await twoPorts({ namespace: 'test' })
})
afterAll(() => Promise.all(ports.map((port) => port.close())))

const heard: unknown[] = []
const electionsOf = (options: Partial<ElectionsOptions> = {}, port = ports[0]) =>
  new Elections(port, {
    name: 'test',
    termMs: 5000,
    quarantine: false,
    onError: (error) => void heard.push(error),
    ...options,
  })

/** A candidate that leads until its signal aborts, and tells what became of it. */
class Candidate {
  readonly leaving = new AbortController()
  readonly offices: Leadership[] = []
  readonly events: ElectionEvent['kind'][] = []
  readonly over: Promise<void>
  leads = false

  constructor(id: string, options: Partial<ElectionsOptions> = {}, port: RedisPort = ports[0]) {
    const elections = electionsOf({ ...options, onEvent: ({ kind }) => void this.events.push(kind) }, port)
    this.elections = elections
    this.over = elections.campaign(id, { signal: this.leaving.signal }, async (office) => {
      this.offices.push(office)
      this.leads = true
      await stopped(office.signal)
      this.leads = false
    })
    candidates.push(this)
  }

  readonly elections: Elections
}
const candidates: Candidate[] = []
afterEach(async () => {
  for (const { leaving } of candidates) leaving.abort()
  await Promise.all(candidates.splice(0).map(({ over }) => over))
})

/** A port whose server hangs when it is told to. */
class DeafPort {
  isDeaf = false
  readonly port: RedisPort

  constructor(port: RedisPort) {
    this.port = portWith(port, {
      call: async (call, options) => {
        if (!this.isDeaf) return port.call(call, options)
        await sleep(options?.deadlineMs ?? 1000)
        throw new Error('no answer')
      },
    } satisfies Partial<RedisPort>)
  }
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { interval: 2, timeout: 10_000 })
const keyOfOffice = (id: string) => keyOf({ namespace: 'test', pattern: 'election', name: 'test' }, id)
const lineOf = (id: string): Promise<number> => waitingFor(ports[0], keyOfOffice(id))

describe('an election', () => {
  it('has one leader at a time, and every candidate in its turn with a larger token', async () => {
    const id = randomUUID()
    const all: Candidate[] = []
    for (let i = 0; i < 4; i++) {
      all.push(new Candidate(id, {}, ports[i % 2 === 0 ? 0 : 1]))
      await (i === 0
        ? until(() => all[0]?.leads === true)
        : vi.waitFor(async () => expect(await lineOf(id)).toBe(i), { interval: 2 }))
    }
    const tokens: bigint[] = []
    for (const [i, one] of all.entries()) {
      await until(() => one.leads)
      expect(all.filter(({ leads }) => leads)).toEqual([one])
      tokens.push(one.offices[0]?.token ?? 0n)
      one.leaving.abort()
      await one.over
      expect(one.events).toEqual(['elected', 'resigned'])
      expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)))
      expect(new Set(tokens).size).toBe(i + 1)
    }
  })

  it('goes on for longer than a term while the leader lives', async () => {
    const id = randomUUID()
    const one = new Candidate(id, { termMs: 400 })
    const other = new Candidate(id, { termMs: 400 }, ports[1])
    await until(() => one.leads || other.leads)
    const from = performance.now()
    const [first] = one.leads ? [one] : [other]
    await vi.waitFor(() => expect(performance.now() - from).toBeGreaterThan(1500), { timeout: 5000 })
    expect(first.events).toEqual(['elected'])
    expect(first.leads).toBe(true)
  })

  it('is lost at the end of the term when Redis does not answer, before anybody else is elected', async () => {
    const id = randomUUID()
    const deaf = new DeafPort(ports[0])
    const one = new Candidate(id, { termMs: 600 }, deaf.port)
    await until(() => one.leads)
    const other = new Candidate(id, { termMs: 600 }, ports[1])
    await vi.waitFor(async () => expect(await lineOf(id)).toBe(1))
    deaf.isDeaf = true
    const from = performance.now()
    const electedWhileLed = until(() => other.leads).then(() => one.leads)
    await until(() => !one.leads)
    expect(performance.now() - from).toBeLessThan(600 + 50)
    expect(one.events).toEqual(['elected', 'lost'])
    expect(() => one.offices[0]?.assertLeading()).toThrow(LockLostError)
    expect(await electedWhileLed).toBe(false)
    deaf.isDeaf = false
  })

  it('would have two leaders then, if the first waited for Redis to say so, as the textbook’s does', async () => {
    const key = keyOf({ namespace: 'test', pattern: 'election', name: 'naive' }, randomUUID())
    const deaf = new DeafPort(ports[0])
    const [one, other] = [new NaiveLeader(deaf.port, key), new NaiveLeader(ports[1], key)]
    await one.stand(100)
    deaf.isDeaf = true
    const renewal = one.renew(100).catch(() => {})
    await vi.waitFor(async () => {
      await other.stand(5000)
      expect(other.leads).toBe(true)
    })
    expect(one.leads).toBe(true)
    await renewal
  })

  it('is followed by the next candidate when the leader dies, and led again by who lost it', async () => {
    const id = randomUUID()
    const one = new Candidate(id, { termMs: 500 })
    await until(() => one.leads)
    const other = new Candidate(id, { termMs: 500 }, ports[1])
    await vi.waitFor(async () => expect(await lineOf(id)).toBe(1))
    // As after a failover that forgot it: nobody told the leader.
    const key = keyOfOffice(id)
    await ports[0].call({ key, command: ['DEL', key] })
    await until(() => one.events.includes('lost') || one.offices.length > 1)
    other.leaving.abort()
    await other.over
    await until(() => one.offices.length > 1 && one.leads)
    expect(one.events.slice(0, 3)).toEqual(['elected', 'lost', 'elected'])
    expect(one.offices[1]?.token).toBeGreaterThan(one.offices[0]?.token ?? 0n)
  })

  it('is handed on by resign, when lead has ended, and the one who resigned goes behind the others', async () => {
    const id = randomUUID()
    const one = new Candidate(id)
    await until(() => one.leads)
    const other = new Candidate(id, {}, ports[1])
    await vi.waitFor(async () => expect(await lineOf(id)).toBe(1))
    expect(await one.elections.resign(id)).toBe(true)
    expect(one.leads).toBe(false)
    await until(() => other.leads)
    await vi.waitFor(async () => expect(await lineOf(id)).toBe(1))
    expect(await one.elections.resign(id)).toBe(false)
    other.leaving.abort()
    await until(() => one.leads)
    expect(one.events).toEqual(['elected', 'resigned', 'elected'])
  })

  it('tells who leads to everybody who asks', async () => {
    const id = randomUUID()
    const asking = electionsOf({}, ports[1])
    expect(await asking.leader(id)).toBeUndefined()
    const one = new Candidate(id, { holder: 'host-7' })
    await until(() => one.leads)
    const leader = await asking.leader(id)
    expect(leader).toMatchObject({ holder: 'host-7', token: one.offices[0]?.token })
    expect(leader?.remainingMs).toBeGreaterThan(0)
    expect(leader?.remainingMs).toBeLessThanOrEqual(5000)
    one.leaving.abort()
    await one.over
    expect(await asking.leader(id)).toBeUndefined()
  })

  it('ends when the leader has done what it was elected for, or failed to', async () => {
    const id = randomUUID()
    const elections = electionsOf()
    let led = 0
    await elections.campaign(id, {}, async () => void led++)
    expect(led).toBe(1)
    expect(await elections.leader(id)).toBeUndefined()
    const failing = elections.campaign(id, {}, async () => {
      throw new Error('no good')
    })
    await expect(failing).rejects.toThrow('no good')
    expect(await elections.leader(id)).toBeUndefined()
  })

  it('reports what a leader throws after it was told to stop, and what a listener throws', async () => {
    const id = randomUUID()
    const before = heard.length
    const leaving = new AbortController()
    const elections = electionsOf({
      onEvent: () => {
        throw new Error('listener')
      },
    })
    const campaign = elections.campaign(id, { signal: leaving.signal }, async ({ signal }) => {
      leaving.abort()
      await stopped(signal)
      throw new Error('late')
    })
    await campaign
    const messages = heard.slice(before).map((error) => (error as Error).message)
    expect(messages).toEqual(['listener', 'late', 'listener'])
  })

  it('is led to its end though whoever is told of errors throws', async () => {
    const told: unknown[] = []
    const elections = electionsOf({
      onEvent: () => {
        throw new Error('listener')
      },
      onError: (error) => {
        told.push(error)
        throw new Error('cannot be told')
      },
    })
    let led = 0
    await elections.campaign(randomUUID(), {}, async () => void led++)
    expect([led, told.length]).toEqual([1, 2])
  })

  it('is told to whoever listens to the channel', async () => {
    const id = randomUUID()
    const events: unknown[] = []
    const stop = hear('slotwise:lock:election', (event) => events.push(event))
    await electionsOf().campaign(id, {}, async () => {})
    stop()
    expect(events).toEqual([
      { name: 'test', resource: id, kind: 'elected' },
      { name: 'test', resource: id, kind: 'resigned' },
    ])
  })

  it('goes on standing while Redis is away, and reports it', async () => {
    const id = randomUUID()
    const before = heard.length
    let isAway = true
    const away = portWith(ports[0], {
      call: (call, options) =>
        isAway && 'script' in call ? Promise.reject(new Error('away')) : ports[0].call(call, options),
    } satisfies Partial<RedisPort>)
    const one = new Candidate(id, { termMs: 500 }, away)
    await vi.waitFor(() => expect(heard.length - before).toBeGreaterThan(2), { timeout: 10_000 })
    expect(one.leads).toBe(false)
    isAway = false
    await until(() => one.leads)
  })

  it('goes on for whoever has waited longer than it stays in the line at a time, and reports nothing of that', async () => {
    const id = randomUUID()
    const leader = new Candidate(id)
    await until(() => leader.leads)
    const before = heard.length
    // A minute goes by in 0.2 s.
    const hasty: Clocks = {
      monotonicMs: () => performance.now() * 300,
      wallMs: () => Date.now(),
      after: (ms, then) => CLOCKS.after(ms / 300, then),
      onStep: () => () => {},
    }
    let asked = 0
    const counting = portWith(ports[1], {
      call: (call, options) => {
        if ('script' in call && call.script.name === 'lock/release') asked++
        return ports[1].call(call, options)
      },
    } satisfies Partial<RedisPort>)
    const settings = { name: 'test', termMs: 5000, quarantine: false }
    const patient = new Elections(
      counting,
      { ...settings, onError: (error) => void heard.push(error) },
      hasty,
    )
    let led = 0
    const campaign = patient.campaign(id, {}, async () => void led++)
    // Each time it gives its place back.
    await vi.waitFor(() => expect(asked).toBeGreaterThan(2), { timeout: 10_000 })
    expect(heard.length).toBe(before)
    leader.leaving.abort()
    await campaign
    expect(led).toBe(1)
  })

  it.each([0, 1.5, 9, Number.NaN])('refuses a term of %s ms', (termMs) => {
    expect(() => electionsOf({ termMs })).toThrow(ConfigurationError)
  })

  it('keeps tenants apart, does not begin when told not to, and ends when closed', async () => {
    const id = randomUUID()
    const elections = electionsOf()
    const [a, b] = [elections.forTenant('a'), elections.forTenant('b')]
    await a.campaign(id, {}, async () => b.campaign(id, {}, async () => {}))
    const aborted = AbortSignal.abort()
    await elections.campaign(id, { signal: aborted }, async () => {
      throw new Error('not to be run')
    })
    await elections.close()
    await expect(a.campaign(id, {}, async () => {})).rejects.toThrow(ClosedError)
  })
})

describe('a leader that stands still beyond its term', () => {
  const standStill = () => {
    const from = performance.now()
    while (performance.now() - from < 500);
  }
  it.each([
    ['returns', () => {}],
    ['asks whether it leads', (office: Leadership) => office.assertLeading()],
  ])('and then %s goes on standing', async (_, then) => {
    const leaving = new AbortController()
    const events: string[] = []
    let terms = 0
    const elections = electionsOf({ termMs: 300, onEvent: ({ kind }) => void events.push(kind) })
    const over = elections.campaign(randomUUID(), { signal: leaving.signal }, async (office) => {
      terms++
      if (terms > 1) await stopped(office.signal)
      else {
        standStill()
        then(office)
      }
    })
    await vi.waitFor(() => expect(events).toEqual(['elected', 'lost', 'elected']), { timeout: 5000 })
    leaving.abort()
    await over
  })
})
