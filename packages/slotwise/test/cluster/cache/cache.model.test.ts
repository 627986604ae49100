import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { type Key, keyOf, type RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { rounds } from '../../support/budget.js'
import { portWith } from '../../support/port-with.js'
import { type Gate, gate, turns } from './gate.js'
import { NaiveCache } from './naive.js'
import type { Racer } from './races.js'
import { watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `model-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

type Kind = 'read' | 'invalidate' | 'write' | 'fail' | 'expire'
interface Deed {
  readonly kind: Kind
  readonly process: number
}

/** Everything that happens stops before and after each command and each look at the database, until released. */
class Turnstile {
  readonly #standing: Gate[] = []
  #underWay = 0

  readonly pause = (): Promise<void> => {
    const here = gate()
    this.#standing.push(here)
    return here.passed
  }

  /** Lets one go on, and waits until everything stands still again. */
  async release(choice: number): Promise<void> {
    const [chosen] = this.#standing.splice(choice % Math.max(1, this.#standing.length), 1)
    chosen?.open()
    do await turns(2)
    while (this.#busy())
  }

  port(): RedisPort {
    const before = async (): Promise<void> => {
      await this.pause()
      this.#underWay++
    }
    const after = (): Promise<void> => {
      this.#underWay--
      return this.pause()
    }
    const one = watched(port, before, after)
    // Each goes by itself, as those of a pipeline to several nodes do.
    const pipeline: RedisPort['pipeline'] = (calls, options) =>
      Promise.allSettled(calls.map((call) => one.call(call, options)))
    return portWith(one, { pipeline })
  }

  #busy(): boolean {
    return this.#underWay > 0
  }
}

/** The database has versions 1, 2, 3 …; what was broken, if anything was. */
async function play(
  enter: (through: RedisPort) => Racer,
  keysOf: (id: string) => readonly Key[],
  deeds: readonly Deed[],
  choices: readonly number[],
): Promise<string[]> {
  const id = randomUUID()
  const turnstile = new Turnstile()
  const processes = [0, 1].map(() => enter(turnstile.port()))
  const broken: string[] = []
  let version = 0
  let promised = 0

  const load = async (): Promise<string> => {
    await turnstile.pause()
    const seen = version
    await turnstile.pause()
    return String(seen)
  }
  const commit = async (): Promise<number> => {
    await turnstile.pause()
    const mine = ++version
    await turnstile.pause()
    return mine
  }
  const acts: Record<Kind, (cache: Racer) => Promise<void>> = {
    read: async (cache) => {
      const floor = promised
      const seen = Number(await cache.getOrLoad(id, load))
      if (seen < floor) broken.push(`read ${seen} after ${floor} had been promised`)
    },
    invalidate: async (cache) => {
      const mine = await commit()
      await cache.invalidate(id)
      promised = Math.max(promised, mine)
    },
    write: async (cache) => {
      let mine = 0
      await cache.writeThrough(id, async () => {
        mine = await commit()
        return String(mine)
      })
      promised = Math.max(promised, mine)
    },
    // The connection to the database breaks after the commit.
    fail: async (cache) => {
      const write = async (): Promise<string> => {
        await commit()
        throw new Error('connection lost')
      }
      await cache.writeThrough(id, write).catch(() => {})
    },
    // A lease, an intent, a value or a tag's version reaches its end: all of them leave nothing.
    expire: async () => {
      for (const key of keysOf(id)) await port.call({ key, command: ['DEL', key], repeat: 'safe' })
    },
  }

  const all = deeds.map(async ({ kind, process }) => {
    await turnstile.pause()
    const cache = processes[process]
    if (cache !== undefined) await acts[kind](cache)
  })
  const end = Promise.all(all)
  for (const choice of choices) await turnstile.release(choice)
  // Those who wait for another process's load ask again by a timer.
  const over = end.then(() => true)
  do await turnstile.release(0)
  while (!(await Promise.race([over, sleep(1, false)])))
  for (let i = 0; i < 20; i++) await turnstile.release(0)

  const left = await enter(port).read(id)
  if (left.found && Number(left.value) !== version)
    broken.push(`${left.value} stays, the database has ${version}`)
  return broken
}

const deeds = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 5, arbitrary: fc.constant<Kind>('read') },
      { weight: 3, arbitrary: fc.constantFrom<Kind>('invalidate', 'write') },
      { weight: 1, arbitrary: fc.constantFrom<Kind>('fail', 'expire') },
    ),
    process: fc.nat(1),
  }),
  { minLength: 2, maxLength: 7 },
)
const choices = fc.array(fc.nat(11), { minLength: 10, maxLength: 70 })

const spaceOf = (pattern: string, name: string) => ({ namespace: port.namespace, pattern, name })

const model = (enter: (through: RedisPort) => Racer, keysOf: (id: string) => readonly Key[]) =>
  fc.asyncProperty(deeds, choices, async (what, when) => {
    expect(await play(enter, keysOf, what, when)).toEqual([])
  })

test('no read gets less than what was promised before it began, whatever overtakes what', {
  timeout: rounds(60_000, 1_200_000),
}, async () => {
  const ours = (through: RedisPort): Racer =>
    new Cache(through, { name: 'ours', ttlMs: 60_000, budgetMs: 60_000 })
  const keysOf = (id: string) => [keyOf(spaceOf('cache', 'ours'), id)]
  const result = await fc.check(model(ours, keysOf), { numRuns: rounds(300, 10_000) })
  expect(fc.defaultReportMessage(result)).toBeUndefined()
})

test('nor where tags are changed in the place of the entry, those it bears and those above', {
  timeout: rounds(60_000, 1_200_000),
}, async () => {
  const byTags = (through: RedisPort): Racer => {
    const cache = new Cache<string>(through, { name: 'tagged', ttlMs: 60_000, budgetMs: 60_000 })
    return {
      getOrLoad: (id, load) => cache.getOrLoad(id, { tags: [`${id}/at`] }, load),
      writeThrough: (id, write) => cache.mutate({ tags: [id] }, write),
      invalidate: (id) => cache.invalidateTags([`${id}/at`]),
      read: (id) => cache.read(id),
    }
  }
  const keysOf = (id: string) => [
    keyOf(spaceOf('tag', 'tagged'), [id]),
    keyOf(spaceOf('tag', 'tagged'), [id, 'at']),
  ]
  const result = await fc.check(model(byTags, keysOf), { numRuns: rounds(80, 5000) })
  expect(fc.defaultReportMessage(result)).toBeUndefined()
})

test('the textbook version is found out', { timeout: rounds(60_000, 1_200_000) }, async () => {
  const naive = (through: RedisPort): Racer => new NaiveCache(through, { name: 'naive' })
  const result = await fc.check(
    model(naive, (id) => [keyOf(spaceOf('cache', 'naive'), id)]),
    { numRuns: 300, endOnFailure: true },
  )
  expect(result.failed).toBe(true)
})
