import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it, test } from 'vitest'
import acquire from '../../../src/cache/acquire.lua.js'
import fill from '../../../src/cache/fill.lua.js'
import intend from '../../../src/cache/intend.lua.js'
import invalidate from '../../../src/cache/invalidate.lua.js'
import enrol from '../../../src/cache/local/enrol.lua.js'
import readers from '../../../src/cache/local/readers.lua.js'
import reprove from '../../../src/cache/local/reprove.lua.js'
import clockOfNext from '../../../src/cache/next/clock.lua.js'
import expireNext from '../../../src/cache/next/expire.lua.js'
import seenNext from '../../../src/cache/next/seen.lua.js'
import softenNext from '../../../src/cache/next/soften.lua.js'
import stampNext from '../../../src/cache/next/stamp.lua.js'
import observe from '../../../src/cache/observe.lua.js'
import release from '../../../src/cache/release.lua.js'
import settle from '../../../src/cache/settle.lua.js'
import take from '../../../src/cache/shelf/take.lua.js'
import store from '../../../src/cache/store.lua.js'
import { ReplyError } from '../../../src/errors.js'
import appendLog from '../../../src/invalidation/log/append.lua.js'
import readLog from '../../../src/invalidation/log/read.lua.js'
import intendTag from '../../../src/invalidation/tags/intend.lua.js'
import lookTag from '../../../src/invalidation/tags/look.lua.js'
import settleTag from '../../../src/invalidation/tags/settle.lua.js'
import { connect } from '../../../src/ioredis/index.js'
import acquireLock from '../../../src/lock/acquire.lua.js'
import extendLock from '../../../src/lock/extend.lua.js'
import fencedSet from '../../../src/lock/fenced-set.lua.js'
import lookAtLock from '../../../src/lock/look.lua.js'
import finishOnce from '../../../src/lock/once/finish.lua.js'
import forgetOnce from '../../../src/lock/once/forget.lua.js'
import acquirePermits from '../../../src/lock/permits/acquire.lua.js'
import extendPermits from '../../../src/lock/permits/extend.lua.js'
import releasePermits from '../../../src/lock/permits/release.lua.js'
import resizePermits from '../../../src/lock/permits/resize.lua.js'
import raiseLongest from '../../../src/lock/raise.lua.js'
import ratchetLock from '../../../src/lock/ratchet.lua.js'
import releaseLock from '../../../src/lock/release.lua.js'
import renewMarker from '../../../src/lock/renew.lua.js'
import settleMarker from '../../../src/lock/settle.lua.js'
import showLock from '../../../src/lock/show.lua.js'
import blockSubject from '../../../src/ratelimit/block.lua.js'
import decide from '../../../src/ratelimit/decide.lua.js'
import countHits from '../../../src/ratelimit/hits/count.lua.js'
import lookHits from '../../../src/ratelimit/hits/look.lua.js'
import uncountHits from '../../../src/ratelimit/hits/uncount.lua.js'
import {
  concurrency,
  fixedWindow,
  slidingLog,
  slidingWindow,
  type Tier,
  tokenBucket,
} from '../../../src/ratelimit/index.js'
import { LINE, SPARE } from '../../../src/ratelimit/plan.js'
import { Policy } from '../../../src/ratelimit/policy.js'
import refundDecision from '../../../src/ratelimit/refund.lua.js'
import renewDecision from '../../../src/ratelimit/renew.lua.js'
import showSubject from '../../../src/ratelimit/show.lua.js'
import decideTogether from '../../../src/ratelimit/together.lua.js'
import {
  type Argument,
  type Key,
  keyOf,
  type RedisPort,
  type ScriptSource,
} from '../../../src/redis/index.js'
import {
  MemoryRedis,
  type ScriptContext,
  scriptTwin,
  Table,
  TestClock,
  type Value,
} from '../../../src/testing/index.js'
import { twins } from '../../../src/testing/scripts/all.lua.js'
import acceptRow from '../../../src/writebehind/accept.lua.js'
import bequeathRows from '../../../src/writebehind/bequeath.lua.js'
import buryRows from '../../../src/writebehind/bury.lua.js'
import enrolFlusher from '../../../src/writebehind/enrol.lua.js'
import forgetRows from '../../../src/writebehind/forget.lua.js'
import lagOfRows from '../../../src/writebehind/lag.lua.js'
import lettersOfRows from '../../../src/writebehind/letters.lua.js'
import openJournal from '../../../src/writebehind/open.lua.js'
import remainderOfRows from '../../../src/writebehind/remainder.lua.js'
import resettle from '../../../src/writebehind/resettle.lua.js'
import sealJournal from '../../../src/writebehind/seal.lua.js'
import takeRows from '../../../src/writebehind/take.lua.js'
import trimRows from '../../../src/writebehind/trim.lua.js'
import { rounds } from '../../support/budget.js'
import { onAnotherClock, STATE } from '../../support/fake-clock.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes'), namespace: `twins-${randomUUID().slice(0, 8)}` })
  await loadScripts()
})
afterAll(() => port.close())

/** A call whose script a node does not know is sent again, and others overtake it. */
async function loadScripts(): Promise<void> {
  const all = [
    STATE,
    foreign,
    remove,
    ...Object.values(PATTERNS).flatMap((scripts) => scripts.map(([one]) => one)),
  ]
  for (const script of all) await port.onEachPrimary(['SCRIPT', 'LOAD', onAnotherClock(script).source])
}

/** One call of a script, and by how much the clock is turned before it. */
interface Step {
  readonly script: ScriptSource
  readonly args: readonly Argument[]
  readonly afterUs: number
}

const START_US = 1_750_000_000_000_000

// A small world, so that calls meet each other: three tokens, three values, times that overlap.
const token = fc.constantFrom('A', 'B', 'C')
const ms = fc.integer({ min: 1, max: 40 })
const owner = fc.constantFrom('A', 'B', 'C').map((one) => one.repeat(22))
const orNone = fc.oneof(fc.constant(0), ms)
/** What locks and permits are asked for with, without a quarantine, and what the caller has heard of the server. */
const wanting = [owner, ms, fc.constant(0), orNone, orNone, fc.constantFrom('', 'me')]
const heard = [orNone, ms, orNone, fc.constant('')]
const version = (n: number): Buffer => Buffer.from(`versio\u00ff${n}`, 'latin1')
const value = fc.constantFrom(
  ...[1, 2, 3].map((n) => Buffer.concat([Buffer.alloc(5, n), version(n), Buffer.from('!')])),
)
const seen = fc.constantFrom<Argument>('', version(1), version(2), version(3))
/** Tiers of every kind, with limits that are soon used up, and the same with others. */
const policies = [3, 5].flatMap((limit) => {
  const windowMs = 20
  const buckets: readonly Tier[] = [
    tokenBucket({ capacity: limit, refillPerSecond: 300 + limit, maxWaitMs: 30 }),
    tokenBucket({ capacity: limit, refill: { tokens: 2, everyMs: 9 } }),
  ]
  const windows: readonly Tier[] = [
    fixedWindow({ limit, windowMs }),
    fixedWindow({ limit, windowMs, align: 'clock' }),
    slidingWindow({ limit, windowMs }),
    slidingWindow({ limit: 2 ** 31 + limit, windowMs }),
  ]
  const lists: readonly Tier[] = [
    slidingWindow({ limit, windowMs, mode: 'strict', parts: 7 }),
    slidingLog({ limit, windowMs }),
    concurrency({ max: limit, ttlMs: 15 }),
  ]
  const month = fixedWindow({ limit: 2 * limit, align: { period: 'month' } })
  return (['keep-used', 'keep-proportion'] as const).flatMap((onPlanChange) =>
    [buckets, windows, lists, [month, ...buckets.slice(0, 1), ...lists.slice(2)]].map(
      (tiers) => new Policy(Object.fromEntries(tiers.map((tier, n) => [n, tier])), onPlanChange),
    ),
  )
})
const policy = fc.constantFrom(...policies)
const planNow = START_US - 1_704_067_200_000_000
const plan = fc
  .tuple(policy, fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }), fc.nat(7))
  .map(([one, costs, force]) => one.plan.bytes(costs, force === 0, planNow))
/** Of who waits in line. */
const linePlan = fc
  .tuple(policy, fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }))
  .map(([one, costs]) => one.plan.bytes(costs, false, planNow, LINE))
/** Of who leaves something for others. */
const sparePlan = fc
  .tuple(policy, fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }))
  .map(([one, costs]) => one.plan.bytes(costs, false, planNow, SPARE))
const spares = fc
  .array(fc.nat(2), { minLength: 4, maxLength: 4 })
  .map((all) => Buffer.from(all.flatMap((spare) => [0, 0, 0, 0, spare])))
const decisionId = fc.constantFrom('IDENT-01', 'IDENT-02', 'IDENT-03')
const leaseId = decisionId.map((id) => id.slice(0, 6))
const keepUs = fc.constantFrom<Argument>('', '', 30_000)
/** What a decision might have answered with, a while ago. */
const receipt = fc.tuple(policy, fc.nat(40_000)).map(([one, ago]) => {
  const { empty } = one.plan
  empty.writeDoubleBE(planNow + ago, 4)
  for (let at = 12; at + 8 <= empty.length; at += 8)
    if (empty.readDoubleBE(at) === 0) empty.writeDoubleBE(3, at)
  return empty
})

const row = fc.constantFrom('a', 'b')
const tag = fc.constantFrom(...[1, 2, 3, 4].map((n) => version(n)))
const number = fc.integer({ min: 0, max: 6 })
const rowLayout = fc.constantFrom('0000000000:3', '0000000001:5', '0000000002:3')
const sealedRows = rowLayout.map((one) => `>${one}`)
const settings = fc.tuple(
  fc.constantFrom('3', '5'),
  fc.constantFrom('0', '1'),
  fc.constantFrom('', '5'),
  fc.constantFrom('', '3'),
)
const tagOrNone = fc.oneof(tag, fc.constant(Buffer.alloc(8)))
const flusher = fc.constantFrom('e1', 'e2', 't1', 't2')
const letterTag = fc.oneof(tag, fc.constant('another'))
const rowChange = fc.oneof<fc.Arbitrary<readonly Argument[]>[]>(
  fc.tuple(fc.constant('s'), row, fc.constantFrom('x', '{}')),
  fc.tuple(fc.constant('d'), row),
  fc.tuple(
    fc.constant('i'),
    row,
    fc.constantFrom('n', 'm\u00e9'),
    fc.integer({ min: -2, max: 2 }),
    fc.constantFrom('', '0', '9007199254740991'),
    fc.constantFrom('{}', ''),
    fc.oneof<fc.Arbitrary<Argument>[]>(fc.constantFrom('', 'y'), tag),
  ),
  fc.tuple(fc.constant('S'), row, fc.constant('x'), letterTag),
  fc.tuple(fc.constant('D'), row, letterTag),
)
const marked = fc
  .tuple(fc.constantFrom('M1', 'M2', 'M3'), ms, rowChange)
  .map(([mark, markMs, words]): readonly Argument[] => ['m', mark, markMs, ...words])
/** Changes of rows, as many as come together. */
const changes = fc
  .array(fc.oneof(rowChange, marked), { minLength: 1, maxLength: 4 })
  .map((some) => some.flat())

/** How each script is called; what belongs to one pattern meets at one key. */
const PATTERNS: Readonly<
  Record<
    string,
    readonly (readonly [ScriptSource, readonly fc.Arbitrary<Argument | readonly Argument[]>[]])[]
  >
> = {
  cache: [
    [acquire, [token, ms, seen, fc.constantFrom(0, 1)]],
    [fill, [token, value, ms]],
    [take, []],
    [intend, [token, ms, orNone]],
    [invalidate, [ms]],
    [observe, [token, ms]],
    [reprove, [fc.constantFrom(version(1), version(2), version(3))]],
    [release, [token, orNone]],
    [settle, [token, fc.constantFrom(0, 1), value, ms, orNone, orNone]],
    [store, [value, ms, fc.constantFrom('any', 'version', 'mark'), fc.oneof(token, seen)]],
  ],
  local: [
    [enrol, [token, ms, ms]],
    [readers, []],
  ],
  log: [
    [appendLog, [token, fc.constantFrom('["a"]', '["b"]'), fc.integer({ min: 1, max: 4 }), ms]],
    [
      readLog,
      [fc.integer({ min: -1, max: 9 }), fc.oneof(fc.constant(''), token), fc.integer({ min: 1, max: 3 })],
    ],
  ],
  tags: [
    [lookTag, [fc.constantFrom(version(1), version(2), version(3)), ms]],
    [intendTag, [token, ms]],
    [settleTag, [token, orNone]],
  ],
  next: [
    [clockOfNext, []],
    [seenNext, [fc.constantFrom<Argument>('', 'v1', 'v2', 'v3')]],
    [stampNext, [fc.constantFrom('v1', 'v2', 'v3'), orNone, ms]],
    [softenNext, [fc.constantFrom('v1', 'v2', 'v3'), fc.constantFrom('v4', 'v5'), token, ms, ms]],
    [expireNext, [token, ms]],
  ],
  lock: [
    [acquireLock, [...wanting, ...heard]],
    [extendLock, [owner, ms, ms]],
    [ratchetLock, [owner, fc.integer({ min: START_US - 20_000, max: START_US + 900_000 })]],
    [releaseLock, [owner]],
    [showLock, [fc.constant(0)]],
    [finishOnce, [owner, fc.constantFrom('{}', 'm\u00e9'), ms]],
    [forgetOnce, []],
    [lookAtLock, []],
  ],
  permits: [
    [acquirePermits, [...wanting, fc.integer({ min: 1, max: 2 }), fc.constantFrom(2, 2, 3), ...heard]],
    [extendPermits, [owner, ms, ms]],
    [releasePermits, [owner]],
    [resizePermits, [fc.constantFrom(2, 3)]],
  ],
  fenced: [
    [fencedSet, [fc.constantFrom('7', '8', '10', '1790000000000001'), value, fc.constantFrom('0', '1'), ms]],
  ],
  'lock-marker': [
    // Also what the markers of slots say, which have the longest times in other places.
    [raiseLongest, [fc.constantFrom('A', 'B', 'r', 'p'), orNone]],
    [settleMarker, [fc.constantFrom('A', '0'), fc.constantFrom('', '0')]],
    [renewMarker, [token, fc.constantFrom('', 'another'), fc.constantFrom('', 'another')]],
  ],
  writebehind: [
    ...[300, 5000].map(
      (size) =>
        [
          acceptRow,
          [
            fc.oneof(fc.constant(''), rowLayout),
            fc.integer({ min: 1, max: 8 }),
            fc.constant(size),
            fc.constantFrom(0, 0, 2),
            fc.tuple(tag, tag).map((tags) => Buffer.concat(tags)),
            changes,
          ],
        ] as const,
    ),
    [
      takeRows,
      [number, tagOrNone, number, tagOrNone, fc.integer({ min: 1, max: 4 }), flusher, fc.constantFrom(0, 1)],
    ],
    [trimRows, [fc.integer({ min: 1, max: 6 }), tag, tag, flusher]],
    [buryRows, [flusher, fc.integer({ min: 0, max: 3 }), row, tag, fc.constantFrom('why', 'why not')]],
    [buryRows, [flusher, fc.constant(2), row, tag, fc.constant('why'), row, tag, fc.constant('because')]],
    [forgetRows, [fc.oneof(flusher, fc.constant(''), sealedRows), row, fc.oneof(tag, fc.constant(''))]],
    [bequeathRows, [sealedRows, row, tag, fc.constantFrom('why', 'why not')]],
    [bequeathRows, [sealedRows, row, tag, fc.constant('why'), row, tag, fc.constant('because')]],
    [forgetRows, [fc.constant(''), row, fc.constant(''), row, fc.constant('')]],
    [lettersOfRows, [fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 2 })]],
    [lagOfRows, []],
    [sealJournal, [rowLayout]],
    [openJournal, [rowLayout]],
    [remainderOfRows, []],
  ],
  settings: [
    [
      resettle,
      [
        settings.map((fields) => fields.join('/')),
        fc.constantFrom('3', '5'),
        fc.constantFrom('0', '1'),
        fc.constantFrom('', '5'),
        fc.constantFrom('', '3'),
      ],
    ],
  ],
  flushers: [[enrolFlusher, [token, orNone]]],
  ratelimit: [
    [decide, [plan, decisionId, keepUs]],
    [decide, [plan, decisionId, keepUs]],
    [decide, [linePlan, decisionId, fc.constantFrom('', 30_000), fc.constantFrom(0, 2000, 50_000)]],
    [decide, [sparePlan, decisionId, fc.constant(''), spares]],
    [
      decideTogether,
      [plan, plan, decisionId, keepUs, fc.constantFrom(0, 1), fc.constant(''), fc.constant('')],
    ],
    [decideTogether, [sparePlan, sparePlan, decisionId, keepUs, fc.constant(1), spares, spares]],
    [refundDecision, [plan, receipt, leaseId, decisionId, fc.constant(30_000)]],
    [renewDecision, [plan, leaseId]],
    [blockSubject, [policy.map((one) => one.plan.empty), fc.constantFrom(0, 5, 30)]],
    [showSubject, []],
  ],
  hits: [
    [countHits, [ms, fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 1, 2)]],
    [uncountHits, []],
    [lookHits, []],
  ],
}

/** Now and then somebody else's data is at the key, or nothing. */
const foreign: ScriptSource = {
  ...STATE,
  name: 'test/foreign',
  source: "return redis.call('SET', KEYS[1], 'x')",
}
const remove: ScriptSource = { ...STATE, name: 'test/remove', source: "return redis.call('DEL', KEYS[1])" }

const after = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3000) },
  { weight: 3, arbitrary: fc.integer({ min: 3000, max: 45_000 }) },
  // As after a failover to a server whose clock is behind.
  { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 0 }) },
)

const sequence = (pattern: string) => {
  const calls = (PATTERNS[pattern] ?? []).map(([script, args]) =>
    fc.record<Step>({
      script: fc.constant(script),
      args: fc.tuple(...args).map((some) => some.flat()),
      afterUs: after,
    }),
  )
  const rare = fc.record<Step>({
    script: fc.constantFrom(remove, foreign),
    args: fc.constant([]),
    afterUs: after,
  })
  return fc.array(fc.oneof({ weight: 30, arbitrary: fc.oneof(...calls) }, { weight: 1, arbitrary: rare }), {
    minLength: 1,
    maxLength: 25,
  })
}

/** What may lie apart lies in one record here. */
const keysOf = ({ keys }: ScriptSource, key: Key): [Key, ...Key[]] => [key, ...keys.slice(1).map(() => key)]

async function outcomes(through: RedisPort, calls: Parameters<RedisPort['pipeline']>[0]): Promise<unknown[]> {
  const results = await through.pipeline(calls, { binary: true, deadlineMs: 10_000 })
  return results.map((result) => {
    if (result.status === 'fulfilled') return result.value
    if (result.reason instanceof ReplyError) return result.reason.replyCode
    throw result.reason
  })
}

/** On the real cluster, all steps and looks in one round trip; each reply, then the state. */
async function really(key: Key, steps: readonly Step[]): Promise<unknown[]> {
  let us = START_US
  const calls = steps.flatMap(({ script, args, afterUs }) => {
    us += afterUs
    return [
      { script: onAnotherClock(script), keys: keysOf(script, key), args: [...args, String(us)] },
      { script: onAnotherClock(STATE), keys: [key] as const, args: [String(us)] },
    ]
  })
  return comparable(await outcomes(port, calls))
}

const own = [
  scriptTwin(foreign, ({ KEYS, call }) => call('SET', KEYS.get(1), 'x')),
  scriptTwin(remove, ({ KEYS, call }) => call('DEL', KEYS.get(1))),
  scriptTwin(STATE, ({ KEYS, call }) => {
    const key = KEYS.get(1)
    const kind = (call('TYPE', key) as Table).get('ok')
    const content: Value =
      kind === 'hash' ? call('HGETALL', key) : kind === 'string' ? listOf(call('GET', key)) : new Table()
    return listOf(kind, content, call('PTTL', key))
  }),
].map((twin, i) => ({ ...twin, sha1: String(i) }))

function listOf(...values: Value[]): Table {
  const table = new Table()
  values.forEach((one, i) => table.set(i + 1, one))
  return table
}

async function inMemory(key: Key, steps: readonly Step[]): Promise<unknown[]> {
  const clock = new TestClock(START_US / 1000)
  const memory = new MemoryRedis({ clock, scripts: own }).connect()
  const replies: unknown[] = []
  for (const { script, args, afterUs } of steps) {
    clock.advance(afterUs / 1000)
    const calls = [
      { script: known(script), keys: keysOf(script, key), args },
      { script: known(STATE), keys: [key] as const, args: [] },
    ]
    replies.push(...(await outcomes(memory, calls)))
  }
  return comparable(replies)
}

/** Scripts of tests have no hash of their own. */
function known(script: ScriptSource): ScriptSource {
  const sha1 = own.find(({ name }) => name === script.name)?.sha1
  return sha1 === undefined ? script : { ...script, sha1 }
}

/** The order of a hash's fields is nobody's promise. */
function comparable(replies: readonly unknown[]): unknown[] {
  return replies.map((reply, i) => {
    if (i % 2 === 0 || !Array.isArray(reply)) return readable(reply)
    const [kind, content, end] = readable(reply) as [string, string[], unknown]
    if (kind !== 'hash') return [kind, content, end]
    const pairs = content.flatMap((field, at) => (at % 2 === 0 ? [`${field}=${content[at + 1]}`] : []))
    return [kind, pairs.toSorted(), end]
  })
}

function readable(reply: unknown): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString('latin1')
  return Array.isArray(reply) ? reply.map(readable) : reply
}

describe('in memory and on the server, by the same clock, every script answers the same and leaves the same', () => {
  it.each(Object.keys(PATTERNS))('of %s', { timeout: rounds(60_000, 1_200_000) }, async (pattern) => {
    const property = fc.asyncProperty(sequence(pattern), async (steps) => {
      const compared = async (): Promise<void> => {
        const key = keyOf({ namespace: port.namespace, pattern, name: 'twin' }, randomUUID())
        expect(await inMemory(key, steps)).toEqual(await really(key, steps))
      }
      await compared().catch(async () => {
        // Another test of the same servers may have made them forget their scripts: what differs for good differs again.
        await loadScripts()
        await compared()
      })
    })
    await fc.assert(property, { numRuns: rounds(300, 20_000) })
  })
})

const textOf = (word: Value): string => (typeof word === 'string' ? word : '')

/**
 * What is removed from the source of a slot that is half moved is looked for at its target from then on, also by the script
 * that has removed it: it fails half-way, with what it did until then done.
 */
describe('whose slot is half moved finds its key to the end of every script', () => {
  it.each(Object.keys(PATTERNS))('of %s', { timeout: rounds(60_000, 1_200_000) }, async (pattern) => {
    const touched: string[] = []
    const careful = twins.map((twin) => ({
      ...twin,
      sha1: `careful ${twin.sha1}`,
      run(redis: ScriptContext): Value {
        const there = () => redis.call('EXISTS', redis.KEYS.get(1)) === 1
        const atFirst = there()
        const watched =
          (run: ScriptContext['call']): ScriptContext['call'] =>
          (...command) => {
            // A message has no key to be found, and no script minds what becomes of it.
            const name = textOf(command[0])
            const isAtKey = name !== 'TIME' && name !== 'SPUBLISH'
            if (isAtKey && atFirst && !there()) touched.push(`${twin.name}: ${name}`)
            return run(...command)
          }
        return twin.run({ ...redis, call: watched(redis.call), pcall: watched(redis.pcall) })
      },
    }))
    const property = fc.asyncProperty(sequence(pattern), async (steps) => {
      touched.length = 0
      const clock = new TestClock(START_US / 1000)
      const memory = new MemoryRedis({ clock, scripts: [...own, ...careful] }).connect()
      const key = keyOf({ namespace: port.namespace, pattern, name: 'moving' }, randomUUID())
      for (const { script, args, afterUs } of steps) {
        clock.advance(afterUs / 1000)
        const sha1 = known(script).sha1
        const isOurs = own.some((one) => one.sha1 === sha1)
        const call = isOurs ? known(script) : { ...script, sha1: `careful ${sha1}` }
        await outcomes(memory, [{ script: call, keys: keysOf(script, key), args }])
      }
      expect([...new Set(touched)]).toEqual([])
    })
    await fc.assert(property, { numRuns: rounds(300, 20_000) })
  })
})

test('none is left out', () => {
  const compared = Object.values(PATTERNS).flatMap((scripts) => scripts.map(([{ name }]) => name))
  expect([...new Set(compared)].toSorted()).toEqual(twins.map(({ name }) => name).toSorted())
})
