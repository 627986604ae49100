import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import acquire from '../../../src/lock/permits/acquire.lua.js'
import extend from '../../../src/lock/permits/extend.lua.js'
import release from '../../../src/lock/permits/release.lua.js'
import resize from '../../../src/lock/permits/resize.lua.js'
import { keyOf, type Reply, type ScriptSource } from '../../../src/redis/index.js'
import { rounds } from '../../support/budget.js'
import { type ClockedPort, clockedPort } from '../../support/clocked-port.js'
import { mutant } from '../ratelimit/stage.js'

const CLAIM_MS = 1000
let clocked: ClockedPort
let now = 1_790_000_000_000
beforeAll(async () => {
  clocked = await clockedPort('model', now)
})
afterAll(() => clocked.port.close())

interface Holder {
  readonly owner: string
  readonly shares: number
  endsMs: number
  /** None: it is kept for the owner, who was called. */
  token: bigint | undefined
}

/** Permits as one would keep them with pencil and paper: who has some until when, and who waits behind whom. */
class PlainPermits {
  permits: number
  #holders: Holder[] = []
  #line: { readonly owner: string; readonly shares: number; readonly leavesMs: number }[] = []
  #last = 0n

  constructor(permits: number) {
    this.permits = permits
  }

  get used(): number {
    return this.#holders.reduce((sum, { shares }) => sum + shares, 0)
  }

  get waiting(): number {
    return this.#line.length
  }

  tidy(): void {
    this.#holders = this.#holders.filter(({ endsMs }) => endsMs > now)
    for (let first = this.#line[0]; first !== undefined; first = this.#line[0]) {
      if (first.leavesMs > now) {
        if (this.used > 0 && this.used + first.shares > this.permits) return
        this.#holders.push({ ...first, endsMs: now + CLAIM_MS, token: undefined })
      }
      this.#line.shift()
    }
  }

  acquire(owner: string, shares: number, ttlMs: number, waitMs: number, told: readonly unknown[]): void {
    const [holders, line] = [this.#holders, [...this.#line]]
    this.tidy()
    const mine = this.#holders.find((one) => one.owner === owner)
    if (mine?.token !== undefined) {
      assert.deepEqual(told.slice(0, 3), [1, String(mine.token), mine.endsMs - now], 'asked again')
      // Nothing was written.
      this.#holders = holders
      this.#line = line
      return
    }
    if (mine === undefined && (this.#line.length > 0 || this.used + shares > this.permits)) {
      let place = this.#line.findIndex((one) => one.owner === owner) + 1
      if (waitMs > 0 && place === 0) place = this.#line.push({ owner, shares, leavesMs: now + waitMs })
      const ends = this.#holders.map(({ endsMs }) => endsMs)
      const until = shares > 1 ? Math.max(...ends) : Math.min(...ends)
      assert.deepEqual(told.slice(0, 3), [0, until - now, waitMs > 0 ? place : 0], 'turned away')
      const isSame = line.length === this.#line.length && line.every((one, i) => one === this.#line[i])
      if (isSame) this.#holders = holders
      return
    }
    this.#holders = this.#holders.filter((one) => one !== mine)
    const [kind, text, remainingMs] = told
    assert.deepEqual([kind, remainingMs], [1, ttlMs], 'let in')
    const token = BigInt(String(text))
    assert(token > this.#last, 'a token that is not above those before')
    this.#last = token
    this.#holders.push({ owner, shares, endsMs: now + ttlMs, token })
  }

  extend(owner: string, ttlMs: number): boolean {
    const mine = this.#holders.find((one) => one.owner === owner && one.token !== undefined)
    if (mine === undefined || mine.endsMs <= now) return false
    mine.endsMs = Math.max(mine.endsMs, now + ttlMs)
    return true
  }

  release(owner: string): boolean {
    const mine = this.#holders.find((one) => one.owner === owner)
    const waits = this.#line.some((one) => one.owner === owner)
    if (mine === undefined && !waits) return false
    this.#holders = this.#holders.filter((one) => one !== mine)
    this.#line = this.#line.filter((one) => one.owner !== owner)
    this.tidy()
    return mine?.token !== undefined && mine.endsMs > now
  }

  resize(permits: number): void {
    const before = this.permits
    this.permits = permits
    this.tidy()
    if (this.used === 0 && this.waiting === 0) this.permits = before
  }
}

type Step = {
  readonly kind: 'ask' | 'try' | 'extend' | 'release' | 'resize'
  readonly afterMs: number
  readonly who: number
  readonly all: boolean
  readonly ttlMs: number
}
const LONGEST_MS = 3000
const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom('ask', 'ask', 'ask', 'ask', 'try', 'extend', 'release', 'release', 'resize'),
    // Up to several times as long as a place is kept.
    afterMs: fc.oneof({ weight: 5, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.nat(4000) }),
    who: fc.nat(6),
    all: fc.boolean(),
    ttlMs: fc.integer({ min: 10, max: LONGEST_MS }),
  }),
  { minLength: 20, maxLength: 40 },
)

/** That what is tested happened at all. */
const seen = { granted: 0, waited: 0, full: 0 }

interface Scripts {
  readonly acquire: ScriptSource
  readonly extend: ScriptSource
  readonly release: ScriptSource
}

async function play(
  permits: number,
  history: readonly Step[],
  scripts: Scripts = { acquire, extend, release },
): Promise<void> {
  const key = keyOf({ namespace: 'model', pattern: 'semaphore', name: 'm' }, randomUUID())
  const model = new PlainPermits(permits)
  const run = async (script: ScriptSource, ...args: (string | number)[]): Promise<Reply> => {
    const keys = script.keys.length > 1 ? ([key, key] as const) : ([key] as const)
    return clocked.port.call({ script, keys, args, repeat: 'safe' })
  }
  for (const { kind, afterMs, who, all, ttlMs } of history) {
    now += afterMs
    clocked.set(now)
    const owner = 'abcdefg'.charAt(who).repeat(22)
    if (kind === 'ask' || kind === 'try') {
      const shares = all ? model.permits : 1
      const waitMs = kind === 'ask' ? 3000 : 0
      const told = await run(scripts.acquire, owner, ttlMs, 0, 0, waitMs, '', shares, model.permits, '', 0)
      model.acquire(owner, shares, ttlMs, waitMs, told as readonly unknown[])
      const [what] = told as readonly unknown[]
      if (what === 1) seen.granted++
      if (model.waiting > 0) seen.waited++
      if (model.used === model.permits) seen.full++
    } else if (kind === 'extend') {
      assert.equal(
        (await run(scripts.extend, owner, ttlMs, LONGEST_MS)) === 1,
        model.extend(owner, ttlMs),
        'extended',
      )
    } else if (kind === 'release') {
      assert.equal((await run(scripts.release, owner)) === 1, model.release(owner), 'freed while held')
    } else if (permits > 2) {
      // Those who want all want what there was.
      const next = model.permits + (all ? 1 : 0)
      await run(resize, next)
      model.resize(next)
    }
  }
}

const permits = fc.integer({ min: 1, max: 4 })
const property = (numRuns: number, scripts?: Scripts, endOnFailure = false) =>
  fc.assert(
    fc.asyncProperty(permits, steps, (count, history) => play(count, history, scripts)),
    { numRuns, endOnFailure },
  )

describe('permits, by a clock of ours', () => {
  it('are given as by a plain list: never more than there are, in the order of asking, with growing tokens', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    await expect(property(rounds(120, 5000))).resolves.toBeUndefined()
    expect(seen.granted).toBeGreaterThan(100)
    expect(seen.waited).toBeGreaterThan(100)
    expect(seen.full).toBeGreaterThan(100)
  })

  const mistakes: Readonly<Record<string, Scripts>> = {
    'lets in whoever asks': {
      acquire: mutant(acquire, 'used + shares > permits', 'false'),
      extend,
      release,
    },
    'lets who wants few pass who wants many': {
      acquire: mutant(acquire, "(line ~= '' or used + shares > permits)", 'used + shares > permits'),
      extend,
      release,
    },
    'counts those whose time is over, as a counter does': {
      acquire: mutant(acquire, '  if ends > now then\n    used', '  if ends then\n    used'),
      extend,
      release,
    },
    'gives a token twice': {
      acquire: mutant(acquire, 'math.max(last + 1, clock)', 'clock - clock % 1000000'),
      extend,
      release,
    },
    'brings back who is over': {
      acquire,
      extend: mutant(extend, '<= now then return 0', '<= 0 then return 0'),
      release,
    },
    'takes away what was given, where it is asked for less': {
      acquire,
      extend: mutant(
        extend,
        'math.max(now + tonumber(ARGV[2]), math.min(before',
        'math.min(now + tonumber(ARGV[2]), math.max(before',
      ),
      release,
    },
    'does not call those behind who gives up': {
      acquire,
      extend,
      release: mutant(release, 'used > 0 and used + tonumber(wanted) > permits', 'true'),
    },
  }
  it.each(Object.entries(mistakes))('would be seen not to be, if the script %s', async (_, scripts) => {
    await expect(property(300, scripts, true)).rejects.toThrow(/Property failed/)
  })
})
