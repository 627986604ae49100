import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import type { RedisPort } from '../../../src/redis/index.js'
import { anyPort } from '../../support/any-port.js'
import { loadsOfAColdEntry, type Racer, races } from './races.js'
import { SeedCache } from './seed.js'
import { watched } from './watched-port.js'

let port: RedisPort
beforeAll(async () => {
  port = await anyPort({ namespace: `seed-${randomUUID().slice(0, 8)}` })
})
/** What each test of the guarantee read, of the article's version and of ours. */
const list: string[] = []
afterAll(async () => {
  console.log(['What was read after it had been replaced:', ...list].join('\n'))
  await port.close()
})

const ours = (through: RedisPort): Racer =>
  new Cache(through, { name: 'ours', ttlMs: 60_000, budgetMs: 5000 })
const seed = (through: RedisPort): Racer => new SeedCache(through)

/** There is nothing to be handed where every caller loads for itself, at the price that the last test shows. */
const SHARED = 'a caller that begins after an invalidation is not handed the load that began before it'

/** A process dies between its commit and Redis: what whoever reads next is told. */
async function afterADeath(enter: (through: RedisPort) => Racer): Promise<string> {
  const id = randomUUID()
  const reader = enter(port)
  await reader.writeThrough(id, async () => 'old')
  let database = 'old'
  // From its commit on, nothing of this process reaches Redis any more.
  const dying = watched(port, () => (database === 'new' ? new Promise(() => {}) : undefined))
  void enter(dying).writeThrough(id, async () => (database = 'new'))
  await expect.poll(() => database).toBe('new')
  return await reader.getOrLoad(id, async () => database)
}

describe("the article's own version fails", () => {
  it.each(Object.entries(races))('%s', async (name, race) => {
    const read = async (enter: (through: RedisPort) => Racer): Promise<string> => {
      const watching = watched(port)
      return await race(() => enter(watching), watching)
    }
    const [theirs, mine] = [await read(seed), await read(ours)]
    list.push(`  ${name}: the article ${theirs}, ours ${mine}`)
    expect([theirs, mine]).toEqual([name === SHARED ? 'new' : 'old', 'new'])
  })

  it('a process that dies between its commit and Redis leaves nothing older to be read', async () => {
    const [theirs, mine] = [await afterADeath(seed), await afterADeath(ours)]
    list.push(`  a process that dies between its commit and Redis: the article ${theirs}, ours ${mine}`)
    expect([theirs, mine]).toEqual(['old', 'new'])
  })

  it('one load answers fifteen callers in five processes', async () => {
    const [theirs, mine] = [
      await loadsOfAColdEntry(() => seed(port)),
      await loadsOfAColdEntry(() => ours(port)),
    ]
    list.push(`  loads of a cold entry asked for fifteen times at once: the article ${theirs}, ours ${mine}`)
    expect([theirs, mine]).toEqual([15, 1])
  })
})
