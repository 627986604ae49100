import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { Flight } from '../../../src/cache/flight.js'
import { PendingInvalidations } from '../../../src/invalidation/pending.js'
import { connect } from '../../../src/ioredis/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { rounds } from '../../support/budget.js'
import { compiledTwin } from '../../support/compiled-twin.js'
import { LARGE, SMALL } from './casts.js'
import { type Explored, explore } from './explore/explorer.js'
import type { Cast, Fault, Ground } from './explore/play.js'
import { MUTANTS } from './mutants.js'
import { TAG_MUTANTS } from './tag-mutants.js'

// Waiting for another process's load is a step of the schedule, not a matter of time.
vi.mock('../../../src/cache/turn.js', () => import('./explore/turns.js'))
afterEach(() => {
  vi.restoreAllMocks()
})

// In memory the clock turns, replicas take over and messages are lost; on the cluster a share of the same runs, with
// calls and answers that are lost or late, and tags that are evicted. Not more: a failover takes seconds there and who waits for a lease of
// somebody dead waits for its end, so that one schedule would take as long as thousands, and no faster clock is the server's.
const inMemory = inject('inMemory') === true
let port: RedisPort | undefined
beforeAll(async () => {
  if (!inMemory)
    port = await connect({ nodes: inject('clusterNodes'), namespace: `explore-${randomUUID().slice(0, 8)}` })
})
afterAll(async () => {
  await port?.close()
})

const ground = (): Ground => {
  if (port !== undefined) return { port }
  const clock = new TestClock()
  const redis = new MemoryRedis({ clock, scripts: compiledTwin })
  return { port: redis.connect(), memory: { redis, clock } }
}

/** What a server cannot do at a word: turn its clock, lose a message, let a replica take over, forget the dead. */
const possible = ([, { before, allowed = [], processes }]: readonly [string, Cast]): boolean =>
  inMemory ||
  (before !== 'stale' &&
    !processes.flat().includes('read by a replica') &&
    (allowed.length === 0 || allowed.some(isOfTheWay)))

/** What happens on the way to a server and back, or is done by a command. */
const isOfTheWay = (fault: Fault): boolean => ['lost', 'late', 'eviction'].includes(fault)

const casts = (all: Readonly<Record<string, Cast>>): (readonly [string, Cast])[] =>
  Object.entries(all)
    .filter(possible)
    .map(([name, cast]) => [
      name,
      inMemory ? cast : { ...cast, allowed: cast.allowed?.filter(isOfTheWay) ?? [] },
    ])

const SEED = Number(process.env['SLOTWISE_SEED'] ?? Date.now() % 1_000_000)

function told(name: string, { schedules, isComplete, perSecond, exceptions }: Explored): void {
  const seen = [...exceptions].map(([exception, count]) => `${count} × ${exception}`).join(', ')
  const which = isComplete ? 'all' : 'some'
  console.log(`${name}: ${which} ${schedules} schedules, ${perSecond}/s${seen === '' ? '' : `; ${seen}`}`)
}

describe('no schedule gives a read less than what was promised before it began, or leaves it behind:', () => {
  it.each(casts(SMALL))('%s, in every order', { timeout: rounds(60_000, 1_200_000) }, async (name, cast) => {
    const bounds = inMemory ? { most: rounds(1500, 200_000) } : { most: rounds(60, 3000), seed: SEED }
    const explored = await explore(cast, ground, bounds)
    told(name, explored)
    expect(explored.violations).toEqual([])
  })

  it.each(casts(LARGE))('%s, by chance', { timeout: rounds(60_000, 1_200_000) }, async (name, cast) => {
    const explored = await explore(cast, ground, {
      most: inMemory ? rounds(300, 100_000) : rounds(40, 3000),
      seed: SEED,
    })
    told(name, explored)
    expect(explored.violations).toEqual([])
  })
})

describe('a mistake is found out:', () => {
  const found = async (name: string, cast: Cast, mutant: Ground['mutant']): Promise<readonly string[]> => {
    const mistake = (): Ground => ({ ...ground(), mutant })
    // By chance, since what comes one after the other differs in its last steps first; in memory by the same each time.
    const seed = inMemory ? 1 : SEED
    const explored = await explore(cast, mistake, { most: 20_000, untilFound: true, seed })
    console.log(`${name}: found by schedule ${explored.schedules}: ${explored.violations[0] ?? 'nothing'}`)
    return explored.violations
  }
  const mutants = Object.entries({ ...MUTANTS, ...TAG_MUTANTS }).filter(([name, [, cast]]) =>
    possible([name, cast]),
  )

  it.each(mutants)('%s', { timeout: rounds(60_000, 1_200_000) }, async (name, [mutant, cast]) => {
    mutant.install?.()
    expect(await found(name, cast, mutant)).not.toEqual([])
  })

  it('whoever joins a load late gets its value without a second look', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    vi.spyOn(Flight.prototype, 'outcome').mockImplementation(function (this: Flight) {
      return this.landed
    })
    const cast: Cast = { processes: [['invalidate'], ['read', 'read']] }
    expect(await found('no second look', cast, undefined)).not.toEqual([])
  })
  it('an invalidation of which nobody knows whether it was heard is not tried again', {
    timeout: rounds(60_000, 1_200_000),
  }, async () => {
    vi.spyOn(PendingInvalidations.prototype, 'add').mockResolvedValue(false)
    const cast: Cast = {
      processes: [['invalidate'], ['read']],
      before: 'fresh',
      faults: 2,
      allowed: ['lost'],
    }
    expect(await found('no second try', cast, undefined)).not.toEqual([])
  })
})
