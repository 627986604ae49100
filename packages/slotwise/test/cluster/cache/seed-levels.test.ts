import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Cache } from '../../../src/cache/index.js'
import { connect } from '../../../src/ioredis/index.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'
import {
  goneOfSixty,
  heldOfThirty,
  type Levels,
  MAX_ENTRIES,
  MAX_STALENESS_MS,
  processOf,
  promises,
  type Scene,
} from './level-promises.js'
import { SeedLevels } from './seed-levels.js'

let port: RedisPort
/** Another process, as far as Redis can tell. */
let elsewhere: RedisPort
beforeAll(async () => {
  const options = { nodes: inject('clusterNodes'), namespace: `levels-${randomUUID().slice(0, 8)}` }
  port = await connect(options)
  elsewhere = await connect(options)
})
/** What each test of the guarantee saw, of the article's version and of ours. */
const list: string[] = []
afterAll(async () => {
  console.log(['What a process serves from its memory:', ...list].join('\n'))
  await Promise.all([port.close(), elsewhere.close()])
})

interface Version {
  readonly pattern: string
  readonly open: (through: RedisPort, name: string) => Levels | Promise<Levels>
}

const ARTICLE: Version = { pattern: 'seed', open: (through, name) => SeedLevels.open(through, name) }
const OURS: Version = {
  pattern: 'cache',
  open: (through, name) =>
    new Cache<string>(through, {
      name,
      ttlMs: 3_600_000,
      budgetMs: 5000,
      local: { maxEntries: MAX_ENTRIES, maxStalenessMs: MAX_STALENESS_MS },
    }),
}

/** What comes of it in a scene of its own. */
async function played<R>(act: (scene: Scene) => Promise<R>, { pattern, open }: Version): Promise<R> {
  const name = `c${randomUUID().slice(0, 8)}`
  const enter = (to: RedisPort) => processOf(to, (through) => open(through, name))
  const [holder, other] = [await enter(port), await enter(elsewhere)]
  try {
    const space = { namespace: port.namespace, pattern, name }
    return await act({ holder, other, port: elsewhere, keyOf: (id) => keyOf(space, id) })
  } finally {
    await Promise.all([holder.levels.close(), other.levels.close()])
  }
}

describe("the article's memory before Redis fails, and ours does not", () => {
  it.each(Object.entries(promises))('%s', async (name, promise) => {
    const [theirs, mine] = [await played(promise, ARTICLE), await played(promise, OURS)]
    list.push(`  ${name}: the article ${theirs}, ours ${mine}`)
    expect(theirs).toBe('old')
    expect(mine).not.toBe('old')
  })

  it('everything is removed, whichever primary holds it', async () => {
    const [theirs, mine] = [await played(goneOfSixty, ARTICLE), await played(goneOfSixty, OURS)]
    list.push(
      `  entries that are gone, of sixty that were to be removed: the article ${theirs}, ours ${mine}`,
    )
    expect(theirs).toBeLessThan(60)
    expect(mine).toBe(60)
  })

  it('a process holds no more than it may', async () => {
    const [theirs, mine] = [await played(heldOfThirty, ARTICLE), await played(heldOfThirty, OURS)]
    list.push(`  entries held by a process that has read thirty: the article ${theirs}, ours ${mine}`)
    expect([theirs, mine]).toEqual([30, MAX_ENTRIES])
  })
})
