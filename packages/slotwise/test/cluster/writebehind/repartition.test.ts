import { randomUUID } from 'node:crypto'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConfigurationError, ImpossibleChangeError } from '../../../src/errors.js'
import { type CommandCall, keyOf, type RedisPort, type ScriptCall } from '../../../src/redis/index.js'
import { Copies } from '../../../src/writebehind/copies.js'
import {
  type Accepted,
  type PartitionsProgress,
  WriteBehind,
  WriteBehindAdmin,
} from '../../../src/writebehind/index.js'
import { Journal } from '../../../src/writebehind/journal.js'
import { partitionKeys, partitionOf } from '../../../src/writebehind/partition-keys.js'
import { nameOf } from '../../../src/writebehind/rows.js'
import { openJournal, sealJournal } from '../../../src/writebehind/sealing.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { portWith } from '../../support/port-with.js'
import { nameOf as nameOfCall } from '../cache/watched-port.js'
import { ModelDatabase, type Versioned } from './model-database.js'
import { Mortal, type Stop } from './mortal.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
})
afterAll(async () => {
  await port.close()
  vi.restoreAllMocks()
})

/** Processes of one name: of the old number of partitions, of the new one, and one that flushes. */
function stage({ from = 3, to = 5, windowMs = 60 } = {}) {
  const name = `t${randomUUID().slice(0, 8)}`
  const database = new ModelDatabase()
  const heard: unknown[] = []
  const opened = (partitions: number, through = port, writer = database.writer()) =>
    new WriteBehind<Versioned>(through, {
      name,
      partitions,
      flushIntervalMs: 5,
      leaseMs: 600,
      idempotencyWindowMs: windowMs,
      evictionCheck: 'off',
      writeBatch: writer,
      load: (id) => Promise.resolve(database.rows.get(String(id))),
      onError: (error) => heard.push(error),
    })
  const space = { namespace: port.namespace, pattern: 'writebehind', name }
  const admin = new WriteBehindAdmin(port, { name })
  return { name, space, database, heard, opened, admin, old: opened(from), young: opened(to) }
}
type Stage = ReturnType<typeof stage>

const until = (isSo: () => boolean | Promise<boolean>) =>
  vi.waitFor(async () => ((await isSo()) ? undefined : Promise.reject(new Error('not yet'))), {
    timeout: 15_000,
    interval: 5,
  })

/** An id whose row lies in a key that is none of the new number's. */
function idThatMoves({ space }: Stage, from: number, to: number, but = ''): string {
  const [before, after] = [partitionKeys(space, from), partitionKeys(space, to)]
  for (let n = 0; n < 1000; n++) {
    const name = nameOf(`row-${n}`, undefined)
    const key = before[partitionOf(name, from)]
    if (key !== undefined && !after.includes(key) && but !== `row-${n}`) return `row-${n}`
  }
  throw new Error('all keys are the same')
}

describe('a change of the number of partitions', () => {
  it('loses nothing that waits, and lets who knows the new number go on, and nobody else', async () => {
    const { database, heard, opened, admin, old, young } = stage()
    await using flusher = opened(3)
    for (let n = 0; n < 40; n++) await old.write(`${n}`, { version: 1 })
    await expect(young.write('a', { version: 1 })).rejects.toThrow(/has 3 partitions, and not 5/)
    flusher.start()
    await until(async () => (await admin.lag()).flushers === 1)
    const steps: PartitionsProgress[] = []
    const change = await admin.changePartitions(5, { onProgress: (progress) => steps.push(progress) })
    expect(change).toMatchObject({ from: 3, to: 5, changed: true, letters: 0, flushers: 1 })
    expect([...new Set(steps.map(({ step }) => step))]).toEqual(['sealing', 'draining', 'letters', 'opening'])
    expect(database.rows.size).toBe(40)
    // At once, not when it looks the next time.
    await expect(old.write('a', { version: 1 })).rejects.toThrow(/has 5 partitions, and not 3/)
    await expect(old.increment('a', 'n', 1)).rejects.toThrow(ConfigurationError)
    for (let n = 0; n < 40; n++)
      expect(await young.write(`${n}`, { version: 2 })).toMatchObject({ accepted: true })
    // By a process that was never told the new number.
    await young.drain()
    expect([...database.rows.values()]).toEqual(Array.from({ length: 40 }, () => ({ version: 2 })))
    expect(database.backs).toEqual([])
    // Nor does it take the new journals for old ones that a failover took back.
    expect(heard).toEqual([])
    expect(await admin.lag()).toMatchObject({ entries: 0, moving: undefined })
    expect((await admin.lag()).partitions).toHaveLength(5)
    expect(await admin.changePartitions(5)).toMatchObject({ changed: false })
  })

  it('and back again is known to whoever was away meanwhile', async () => {
    const { database, opened, admin, old } = stage()
    await using flusher = opened(5)
    await old.write('a', { version: 1 })
    flusher.start()
    await until(async () => (await admin.lag()).flushers === 1)
    await admin.changePartitions(5)
    await admin.changePartitions(3)
    expect(await old.write('a', { version: 2 })).toMatchObject({ accepted: true })
    await old.drain()
    expect(database.rows.get('a')).toEqual({ version: 2 })
  })

  it.each([
    [3, 5],
    [8, 2],
  ])('from %i to %i carries dead letters to where they are looked for', async (from, to) => {
    const own = stage({ from, to })
    const { database, opened, admin, old, young } = own
    await using flusher = opened(from)
    flusher.start()
    for (let n = 0; n < 30; n++) {
      database.refused.add(`${n}`)
      await old.write(`${n}`, { version: 1 })
    }
    await old.drain()
    const before = await old.deadLetters()
    expect(before).toHaveLength(30)
    const planned = await admin.changePartitions(to, { dryRun: true })
    expect(planned.letters).toBeGreaterThan(10)
    expect(await admin.changePartitions(to)).toMatchObject({ letters: planned.letters })
    const sorted = (letters: typeof before) =>
      letters.toSorted((a, b) => (String(a.id) < String(b.id) ? -1 : 1))
    expect(sorted(await young.deadLetters())).toEqual(sorted(before))
    database.refused.clear()
    expect(await young.discard(['7'])).toBe(1)
    expect(await admin.replay(['8', '9'])).toBe(2)
    expect(await young.replay()).toBeGreaterThanOrEqual(27)
    await young.drain()
    expect(await admin.deadLetters()).toEqual([])
    expect(database.rows.size).toBe(29)
  })

  it('waits until no increment can come again that was counted elsewhere', async () => {
    const { opened, admin, old, young } = stage({ windowMs: 1500 })
    await using flusher = opened(3)
    flusher.start()
    for (let n = 0; n < 20; n++) await old.increment(`${n}`, 'n', 1, { idempotencyKey: `${n}` })
    const counted = performance.now()
    await old.drain()
    const steps: PartitionsProgress[] = []
    await admin.changePartitions(5, { onProgress: (progress) => steps.push(progress) })
    // The clock is the server's, so a little less by ours.
    expect(performance.now() - counted).toBeGreaterThan(1450)
    expect(steps.some(({ entries, marksForMs }) => entries === 0 && marksForMs > 0)).toBe(true)
    expect(await young.increment('7', 'n', 1, { idempotencyKey: 'another' })).toMatchObject({ value: 2 })
  })

  it('begins only where somebody flushes, and before another only ends', async () => {
    const { opened, admin, old } = stage()
    await expect(admin.lag()).rejects.toThrow(/nothing is known/)
    await old.write('a', { version: 1 })
    await expect(admin.changePartitions(5)).rejects.toThrow(ImpossibleChangeError)
    expect(await old.write('a', { version: 2 })).toMatchObject({ accepted: true })
    expect(await admin.changePartitions(5, { dryRun: true })).toMatchObject({
      changed: true,
      entries: 2,
      flushers: 0,
    })
    const stop = new AbortController()
    await using flusher = opened(3)
    flusher.start()
    await until(async () => (await admin.lag()).flushers === 1)
    const stopped = admin.changePartitions(5, {
      signal: stop.signal,
      onProgress: ({ step }) => step === 'draining' && stop.abort(),
    })
    await expect(stopped).rejects.toThrow(/abort/)
    expect(await admin.lag()).toMatchObject({ moving: 5 })
    await expect(admin.changePartitions(7)).rejects.toThrow(/from 3 to 5 partitions has begun/)
    await expect(old.write('a', { version: 3 })).rejects.toThrow(/being changed from 3 to 5/)
    await expect(admin.replay()).resolves.toBe(0)
    expect(await admin.changePartitions(5)).toMatchObject({ changed: true })
  })

  it('holds up nobody who reads by the number that there is until it is done, whenever he came', async () => {
    const { name, database, opened, old, young } = stage()
    let goOn: () => void = () => {}
    const gate = new Promise<void>((open) => (goOn = open))
    await using flusher = opened(
      3,
      port,
      database.writer(() => gate),
    )
    await old.write('a', { version: 1 })
    flusher.start()
    const first = new Mortal({ before: 'remainder 1', kind: 'pauses' })
    const changing = new WriteBehindAdmin(first.port(port), { name }).changePartitions(5)
    await first.stopped
    for (const one of [old, opened(3)]) {
      expect(await one.read('a')).toEqual({ version: 1 })
      expect(await one.readMany(['b', 'a'])).toEqual([undefined, { version: 1 }])
      expect(await one.deadLetters()).toEqual([])
      await expect(one.write('a', { version: 2 })).rejects.toThrow(/being changed from 3 to 5/)
      await expect(one.ready()).rejects.toThrow(/being changed from 3 to 5/)
      expect(await one.read('a')).toEqual({ version: 1 })
    }
    await expect(young.read('a')).rejects.toThrow(/being changed from 3 to 5/)
    goOn()
    first.resume()
    await changing
    expect(await young.read('a')).toEqual({ version: 1 })
    await expect(opened(3).read('a')).rejects.toThrow(/has 5 partitions, and not 3/)
    await expect(opened(3).deadLetters()).rejects.toThrow(/has 5 partitions, and not 3/)
  })

  it('is known at once to who reads by the old number, before he could miss what waits by the new one', async () => {
    const own = stage()
    const { opened, admin, old, young } = own
    const id = idThatMoves(own, 3, 5)
    const flusher = opened(3)
    flusher.start()
    await old.write(id, { version: 1 })
    await admin.changePartitions(5)
    await flusher.close()
    expect(await young.write(id, { version: 2 })).toMatchObject({ accepted: true })
    // It has looked at the settings not a minute ago.
    await expect(old.read(id)).rejects.toThrow(/has 5 partitions, and not 3/)
    await expect(old.readMany([id])).rejects.toThrow(/has 5 partitions, and not 3/)
    expect(await young.read(id)).toEqual({ version: 2 })
  })

  it('is not taken for his own by who is on his way to a journal while his process hears of it', async () => {
    const own = stage()
    const { space, database, opened, admin } = own
    const settings = keyOf(space, ['settings'])
    // A key of both numbers, and a row that lies there by the old one alone.
    const [before, after] = [partitionKeys(space, 3), partitionKeys(space, 5)]
    const id = Array.from({ length: 1000 }, (_, n) => `row-${n}`).find((one) => {
      const row = nameOf(one, undefined)
      const key = before[partitionOf(row, 3)]
      return key !== undefined && after.includes(key) && after[partitionOf(row, 5)] !== key
    })
    expect.assert(id !== undefined)
    const answers: Promise<string>[] = []
    let isLooking = false
    const through = portWith(port, {
      call: (async (call, options) => {
        // What it says is heard later than what is looked for.
        if (nameOfCall(call) === 'accept') await turn()
        const reply = await port.call(call, options)
        if (isLooking && 'command' in call && call.command[1] === settings) {
          isLooking = false
          // One at each step from the answer to what is made of it.
          let step = Promise.resolve()
          for (let n = 0; n < 30; n++) {
            step = step.then(() => {
              const write = late.write(id, { version: 1 })
              answers.push(write.then(({ accepted }) => `accepted: ${accepted}`, String))
            })
          }
        }
        return reply
      }) satisfies RedisPort['call'],
    })
    const late = opened(3, through)
    await late.ready()
    await admin.changePartitions(5)
    isLooking = true
    const now = performance.now.bind(performance)
    // For good: everything that uses it, the port too, may take it for granted that this clock never goes back.
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 61_000)
    await expect(late.read(id)).rejects.toThrow(/has 5 partitions, and not 3/)
    await until(() => answers.length === 30)
    const told = new Set(await Promise.all(answers))
    expect([...told].filter((one) => !one.includes('has 5 partitions, and not 3'))).toEqual([])
    expect(database.rows.size).toBe(0)
  })

  it('fences in the database who was paused with what a failover has taken back', async () => {
    const own = stage({ from: 4, to: 2 })
    const { space, database, opened, admin, old, young } = own
    // Of a partition that nobody will claim any more.
    const id = Array.from({ length: 100 }, (_, n) => `row-${n}`).find(
      (one) => partitionOf(nameOf(one, undefined), 4) === 3,
    )
    if (id === undefined) throw new Error('there is no such row')
    let goOn: () => void = () => {}
    let tellIt: () => void = () => {}
    let batches = 0
    const gate = new Promise<void>((open) => (goOn = open))
    const hasBatch = new Promise<void>((tell) => (tellIt = tell))
    await using paused = opened(
      4,
      port,
      database.writer(async () => {
        tellIt()
        if (++batches === 1) await gate
      }),
    )
    await old.write(id, { version: 1 })
    paused.start()
    await hasBatch
    // Its lines are gone with their primary.
    const key = partitionKeys(space, 4)[partitionOf(nameOf(id, undefined), 4)]
    await port.call({ key: key ?? fail(), command: ['DEL', key ?? fail()] })
    await admin.changePartitions(2)
    await using flusher = opened(2)
    flusher.start()
    await young.write(id, { version: 2 })
    await young.drain()
    goOn()
    await sleep(50)
    expect(database.rows.get(id)).toEqual({ version: 2 })
    expect(database.backs).toEqual([])
  })
})

it('a journal whose opening a failover has taken back is opened by who writes to it, and one that is sealed for later is not', async () => {
  const { space, admin, old, young } = stage()
  await old.ready()
  await admin.changePartitions(5)
  const sealed = async (as: string) => {
    for (const key of partitionKeys(space, 5)) await port.call({ key, command: ['HSET', key, 'p', as] })
  }
  await sealed('>0000000001:5')
  expect(await young.write('a', { version: 1 })).toMatchObject({ accepted: true })
  await sealed('>0000000002:3')
  await expect(young.write('a', { version: 2 })).rejects.toThrow(/journals of another number/)
})

it('a journal of a later layout is neither sealed nor opened by whoever was paused in an earlier change', async () => {
  const { space } = stage()
  const [key = fail()] = partitionKeys(space, 5)
  const journal = new Journal(port, key, { lines: 9, bytes: 999, markMs: 1 })
  const [first, second, third] = ['0000000000:3', '0000000001:5', '0000000002:3'] as const
  const change = { kind: 's', bytes: Buffer.from('1') } as const
  const sealed = (layout: string) => sealJournal(journal, layout, new Copies(port), {})
  const accepted = async (layout: string) => (await journal.accept('a', change, undefined, { layout })).state
  expect(await accepted(first)).toBe('accepted')
  // Nobody has sealed it yet.
  expect(await openJournal(journal, second, {})).toBe(first)
  expect(await sealed(second)).toBe(`>${second}`)
  expect(await accepted(first)).toBe('foreign')
  expect(await accepted(second)).toBe('foreign')
  expect(await openJournal(journal, second, {})).toBe(second)
  expect(await accepted(second)).toBe('accepted')
  expect(await sealed(third)).toBe(`>${third}`)
  expect(await openJournal(journal, second, {})).toBe(`>${third}`)
  expect(await sealed(second)).toBe(`>${third}`)
  expect(await accepted(second)).toBe('foreign')
  expect(await openJournal(journal, third, {})).toBe(third)
  expect(await sealed(second)).toBe(third)
  expect(await accepted(third)).toBe('accepted')
})

function fail(): never {
  throw new Error('there is no such partition')
}

it('one that only waits and then sets the number loses what a process accepts that has not looked since', async () => {
  const own = stage()
  const { space, database, opened, admin, old, young } = own
  const id = idThatMoves(own, 3, 5)
  const settings = keyOf(space, ['settings'])
  const naive = async () => {
    await until(async () => (await admin.lag()).entries === 0)
    await port.call({ key: settings, command: ['HSET', settings, 'partitions', '5'] })
  }
  await using flusher = opened(5)
  await old.write(id, { version: 1 })
  flusher.start()
  await naive()
  // The process that flushes has heard of it.
  const other = idThatMoves(own, 5, 3, id)
  await until(async () => (await young.write(other, { version: 1 })).accepted)
  await young.drain()
  expect(await old.write(id, { version: 2 })).toMatchObject({ accepted: true })
  await young.write(other, { version: 2 })
  await young.drain()
  expect((await admin.lag()).entries).toBe(0)
  expect((await old.lag()).entries).toBe(1)
  expect(database.rows.get(id)).toEqual({ version: 1 })
})

describe('a dead letter', () => {
  /** A row with one, that lies in another key afterwards, and a change that has stopped there. */
  async function carried(stop: Stop) {
    const own = stage()
    const { name, database, opened, old } = own
    const id = idThatMoves(own, 3, 5)
    database.refused.add(id)
    const flusher = opened(3)
    flusher.start()
    await old.write(id, { version: 1 })
    await old.drain()
    const first = new Mortal(stop)
    const changing = new WriteBehindAdmin(first.port(port), { name }).changePartitions(5)
    await first.stopped
    return { ...own, id, flusher, first, changing }
  }

  it('is not put back by whoever carries it late, once its row is written', async () => {
    const late = { before: 'bequeath 1', kind: 'pauses' } as const
    const { database, admin, young, id, flusher, first, changing } = await carried(late)
    await using _ = flusher
    expect(await admin.changePartitions(5)).toMatchObject({ changed: true, letters: 1 })
    database.refused.clear()
    expect(await young.replay([id])).toBe(1)
    await young.drain()
    first.resume()
    expect(await changing).toMatchObject({ letters: 0 })
    expect(database.rows.get(id)).toEqual({ version: 1 })
    expect(await admin.deadLetters()).toEqual([])
  })

  it.each(['bequeath 1', 'forget 1'])(
    'is not discarded while it is carried, before %s, for it may lie elsewhere already',
    async (before) => {
      const { admin, old, young, id, flusher, first, changing } = await carried({ before, kind: 'pauses' })
      await using _ = flusher
      await expect(old.discard([id])).rejects.toThrow(ConfigurationError)
      await expect(admin.discard([id])).rejects.toThrow(ConfigurationError)
      await expect(admin.replay([id])).rejects.toThrow(ConfigurationError)
      first.resume()
      await changing
      expect(await young.discard([id])).toBe(1)
      expect(await admin.deadLetters()).toEqual([])
    },
  )

  it.each(['bequeath', 'forget'])(
    'is carried though a failover takes back what sealed a partition, before %s',
    async (before) => {
      const { name, database, opened, old, young } = stage({ from: 1 })
      await using flusher = opened(1)
      flusher.start()
      for (let n = 0; n < 20; n++) {
        database.refused.add(`${n}`)
        await old.write(`${n}`, { version: 1 })
      }
      await old.drain()
      let isTakenBack = false
      const takeBack = async (call: CommandCall | ScriptCall) => {
        if (nameOfCall(call) !== before || isTakenBack) return
        isTakenBack = true
        const [key] = 'keys' in call ? call.keys : [call.key]
        await port.call({ key, command: ['HDEL', key, 'p'] })
      }
      const through = portWith(port, {
        call: (async (call, options) => {
          await takeBack(call)
          return await port.call(call, options)
        }) satisfies RedisPort['call'],
        writeThenWait: (async (call, options) => {
          await takeBack(call)
          return await port.writeThenWait(call, options)
        }) satisfies RedisPort['writeThenWait'],
      })
      const change = await new WriteBehindAdmin(through, { name }).changePartitions(5)
      expect(change.letters).toBeGreaterThan(10)
      expect(new Set((await young.deadLetters()).map(({ id }) => id)).size).toBe(20)
      expect(await young.discard()).toBe(20)
    },
  )

  it('is in the replicas of its new place before it is removed from where it was, and so is what seals', async () => {
    const { name, database, opened, old } = stage({ from: 1 })
    await using flusher = opened(1)
    flusher.start()
    for (let n = 0; n < 20; n++) {
      database.refused.add(`${n}`)
      await old.write(`${n}`, { version: 1 })
    }
    await old.drain()
    const steps: string[] = []
    let isBehind = false
    const through = portWith(port, {
      call: (async (call, options) => {
        steps.push(nameOfCall(call))
        return await port.call(call, options)
      }) satisfies RedisPort['call'],
      writeThenWait: (async (call, options) => {
        const answer = await port.writeThenWait(call, options)
        // Each is asked twice: the first time the replica does not follow.
        isBehind = !isBehind
        steps.push(`${nameOfCall(call)} in ${isBehind ? 0 : answer.acknowledgedBy} of ${options.replicas}`)
        return isBehind ? { ...answer, acknowledgedBy: 0 } : answer
      }) satisfies RedisPort['writeThenWait'],
    })
    await new WriteBehindAdmin(through, { name }).changePartitions(5)
    const those = steps.filter((step) => /^(?:seal|bequeath|forget)/.test(step))
    expect(those.filter((step) => /^(?:seal|bequeath)$/.test(step))).toEqual([])
    for (const [i, step] of those.entries()) {
      if (step === 'forget') expect(those[i - 1]).toBe('bequeath in 1 of 1')
      if (step.includes(' in 0 of')) expect(those[i + 1]).toBe(step.replace(' in 0', ' in 1'))
    }
    expect(those).toContain('forget')
  })

  it('is not lost to whoever removes it late where it was, once it lies there again', async () => {
    const late = { before: 'forget 1', kind: 'pauses' } as const
    const { admin, old, id, flusher, first, changing } = await carried(late)
    await using _ = flusher
    await admin.changePartitions(5)
    await admin.changePartitions(3)
    first.resume()
    await changing
    expect((await old.deadLetters()).map((letter) => letter.id)).toEqual([id])
  })
})

/** All that a change does, from its start to its end. */
const EFFECTS = [
  ['HMGET', 2],
  ['leave', 2],
  ['lag', 3],
  ['resettle', 2],
  ['seal', 7],
  ['remainder', 19],
  ['letters', 3],
  ['bequeath', 1],
  ['forget', 1],
  ['open', 5],
] as const
const STOPS = EFFECTS.flatMap(([name, count]) =>
  Array.from({ length: count }, (_, i) => `${name} ${i + 1}`),
).filter((effect, i) => effect.startsWith('bequeath') || i % rounds(2, 1) === 0)

describe('whoever changes the number of partitions', () => {
  it.concurrent.each(STOPS)('dies before %s, and another ends it', async (before) => {
    const { found, wanted } = await interrupted({ before, kind: 'dies' }, false)
    expect(found).toEqual(wanted)
  })

  it.concurrent.each(STOPS)('stands still before %s, and changes nothing when it goes on', async (before) => {
    const { found, wanted } = await interrupted({ before, kind: 'pauses' }, false)
    expect(found).toEqual(wanted)
  })

  it.concurrent.each(STOPS)(
    'stands still before %s, and goes on when it has been changed back',
    async (before) => {
      const { found, wanted } = await interrupted({ before, kind: 'pauses' }, true)
      expect(found).toEqual(wanted)
    },
  )
})

/** Others write all the while, one with a change on its way that stands still too. */
async function interrupted(stop: Stop, isBack: boolean) {
  const own = stage()
  const { name, database, opened, admin, old, young } = own
  const wanted = new Map<string, number>()
  let version = 0
  const put = async (through: WriteBehind<Versioned>, id: string): Promise<boolean> => {
    const value = { version: ++version }
    const answer = await through.write(id, value).catch((error: unknown): Accepted | undefined => {
      if (error instanceof ConfigurationError) return undefined
      throw error
    })
    if (answer?.accepted === true) wanted.set(id, Math.max(value.version, wanted.get(id) ?? 0))
    return answer?.accepted === true
  }
  const ids = Array.from({ length: 12 }, (_, n) => `${n}`)
  database.refused.add('bad')
  await using flusher = opened(3)
  await using another = opened(5)
  flusher.start()
  another.start()
  await put(old, 'bad')
  wanted.delete('bad')
  await old.drain()
  expect(await old.deadLetters()).toHaveLength(1)
  for (const id of ids) await put(old, id)
  const slow = new Mortal({ before: 'accept 1', kind: 'pauses' })
  const late = put(opened(3, slow.port(port)), 'late')
  await slow.stopped

  const first = new Mortal(stop)
  const changing = new WriteBehindAdmin(first.port(port), { name }).changePartitions(5)
  const ended = Promise.allSettled([changing])
  const done = new AbortController()
  const writing = (async () => {
    for (let n = 0; !done.signal.aborted; n++) {
      await put(n % 2 === 0 ? old : young, ids[n % ids.length] ?? '')
      await sleep(1)
    }
  })()
  await Promise.race([first.stopped, ended])
  await admin.changePartitions(5)
  if (isBack) await admin.changePartitions(3)
  first.resume()
  if (stop.kind === 'pauses') await ended
  slow.resume()
  await late
  done.abort()
  await writing
  expect(first.effects).toContain(stop.before)
  const { partitions } = await admin.lag()
  const valid = partitions.length === 5 ? young : old
  for (const id of ids.slice(0, 6)) expect(await put(valid, id)).toBe(true)
  await valid.drain()
  const found = new Map([...database.rows].map(([id, row]) => [id, row.version]))
  expect(database.backs).toEqual([])
  // Where the valid number looks for it, and once.
  expect(await valid.deadLetters()).toHaveLength(1)
  database.refused.clear()
  expect(await valid.replay(['bad'])).toBe(1)
  await valid.drain()
  expect(await admin.deadLetters()).toEqual([])
  return { found, wanted }
}
