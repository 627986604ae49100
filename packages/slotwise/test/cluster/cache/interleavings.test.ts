import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { Actor, orders } from './actor.js'
import { NaiveCache } from './naive.js'
import type { Racer } from './races.js'
import { watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `orders-${randomUUID().slice(0, 8)}` })
})
afterAll(() => port.close())

/** The database, whose versions have an order, and what has been promised to whom has begun by now. */
class World {
  readonly id = randomUUID()
  version = 0
  promised = 0

  commit(): number {
    return ++this.version
  }
}

type Enter = (port: RedisPort) => Racer
type Role = (world: World, enter: Enter, actor: Actor) => () => Promise<unknown>

/** A step for the intent, one for the commit, one for the entry. */
const writer: Role = (world, enter, actor) => {
  const cache = enter(watched(port, actor.pause))
  return async () => {
    let mine = 0
    await cache.writeThrough(world.id, async () => {
      await actor.pause()
      mine = world.commit()
      return String(mine)
    })
    world.promised = Math.max(world.promised, mine)
  }
}

/** A step for the commit, one for the entry. */
const invalidator: Role = (world, enter, actor) => {
  const cache = enter(watched(port, actor.pause))
  return async () => {
    await actor.pause()
    const mine = world.commit()
    await cache.invalidate(world.id)
    world.promised = Math.max(world.promised, mine)
  }
}

/** A step to look, one for the lease, one to read the database, one to store. */
const reader: Role = (world, enter, actor) => {
  const watching = watched(port, actor.pause)
  const cache = enter(watching)
  return async () => {
    await cache.getOrLoad(world.id, async () => {
      await actor.pause()
      return String(world.version)
    })
    await watching.idle()
  }
}

/** Runs one order of steps; what went wrong, if anything did. */
async function violation(
  roles: readonly Role[],
  order: readonly number[],
  enter: Enter,
): Promise<string | undefined> {
  const world = new World()
  const probe = enter(port)
  const stored = async (): Promise<number | undefined> => {
    const seen = await probe.read(world.id)
    return seen.found ? Number(seen.value) : undefined
  }
  const actors = roles.map(() => new Actor())
  for (const [i, actor] of actors.entries()) {
    const role = roles[i]
    if (role !== undefined) await actor.begin(role(world, enter, actor))
  }
  for (const actor of order) {
    const promised = world.promised
    await actors[actor]?.step()
    if (promised === 0) continue
    const seen = await stored()
    if (seen !== undefined && seen < promised)
      return `${order.join('')}: read ${seen} after ${promised} was promised`
  }
  const seen = await stored()
  return seen !== undefined && seen !== world.version
    ? `${order.join('')}: ${seen} stays, the database has ${world.version}`
    : undefined
}

/** Every order, many at a time; the violations among them. */
async function explore(roles: readonly Role[], steps: readonly number[], enter: Enter): Promise<string[]> {
  const violations: string[] = []
  const rest = orders(steps).values()
  const walk = async (): Promise<void> => {
    for (const order of rest) {
      const found = await violation(roles, order, enter)
      if (found !== undefined) violations.push(found)
    }
  }
  await Promise.all(Array.from({ length: 16 }, walk))
  return violations
}

const ours: Enter = (through) =>
  new Cache(through, { name: 'ours', ttlMs: 60_000, leaseMs: 60_000, budgetMs: 60_000 })
const naive: Enter = (through) => new NaiveCache(through, { name: 'naive' })

const casts: readonly (readonly [string, number, readonly Role[], readonly number[]])[] = [
  ['two writers', 20, [writer, writer], [3, 3]],
  ['two writers and a reader', 4200, [writer, writer, reader], [3, 3, 4]],
  ['two writers and an invalidation', 560, [writer, writer, invalidator], [3, 3, 2]],
  ['a writer, an invalidation and a reader', 1260, [writer, invalidator, reader], [3, 2, 4]],
  [
    'a writer that dies after its commit, another one and a reader',
    1260,
    [writer, writer, reader],
    [2, 3, 4],
  ],
]

describe('nobody reads what a finished write or invalidation has replaced, in any order of the steps of', () => {
  it.each(casts)('%s (%i orders)', { timeout: 60_000 }, async (_, count, roles, steps) => {
    expect(orders(steps)).toHaveLength(count)
    expect(await explore(roles, steps, ours)).toEqual([])
  })
})

it('the textbook version is left with the value that the database has replaced', async () => {
  expect(await explore([writer, writer], [2, 2], naive)).not.toEqual([])
})
