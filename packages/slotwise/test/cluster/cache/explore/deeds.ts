import type { Cache } from '../../../../src/cache/index.js'
import type { Stage } from './stage.js'
import type { World } from './world.js'

/** How long a lease and an intent last, by the clock of the schedule. */
export const LEASE_MS = 1000
/** How far the replicas of the database are behind, by the same clock. */
export const LAG_MS = 200

/** One process, and what it needs to do something to the one entry. */
export interface Actor {
  readonly who: string
  readonly cache: Cache<string>
  readonly id: string
  /** What the entry bears where it bears anything, and what is above that. */
  readonly tag: string
  readonly above: string
  readonly world: World
  readonly stage: Stage
  /** In which epoch its last command was executed. */
  readonly epoch: () => number
  /** Whether an intent of it stands now. */
  readonly isCovered: () => boolean
  /** Whether nothing can be stored under the tag until it has ended its change, whatever others do. */
  readonly isTagHeld: () => boolean
  /** Between its commit and the end of what is to tell Redis of it. */
  committed: number | undefined
}

type Act = (actor: Actor) => Promise<unknown>

const number = (version: number): string => String(version)

const load =
  ({ who, world, stage }: Actor, from: 'version' | 'replicated' = 'version') =>
  async (): Promise<string> => {
    await stage.pause(who, 'load')
    return number(world[from])
  }

const commit = async (actor: Actor): Promise<number> => {
  await actor.stage.pause(actor.who, 'commit')
  actor.committed = actor.world.commit()
  // Whoever dies with it from here on has left it uncovered, unless an intent stands.
  if (!actor.isCovered()) actor.world.uncovered ||= actor.stage.isDead(actor.who)
  // Nothing that was loaded before bears what the tag is, or will be: so it is promised before anybody is told.
  if (actor.isTagHeld()) actor.world.promise(actor.committed, actor.world.epoch)
  return actor.committed
}

/** What it has committed is promised to everybody who begins from here on. */
const promise = (actor: Actor, version: number): void => {
  actor.world.promise(version, actor.epoch())
  actor.committed = undefined
}

/** What processes do. Each fails, if it does, as the program would see it, and promises nothing then. */
export const DEEDS = {
  read: async (actor) => {
    const { floor } = actor.world
    const seen = await actor.cache.getOrLoad(actor.id, load(actor))
    actor.world.read(Number(seen), floor, actor.who)
  },
  /** Loads from a replica of the database, so that only what Redis has can be held against it. */
  'read by a replica': async (actor) => {
    const { floor } = actor.world
    const { value, source } = await actor.cache.fetch(actor.id, load(actor, 'replicated'))
    if (source === 'redis') actor.world.read(Number(value), floor, actor.who)
  },
  invalidate: async (actor) => {
    const version = await commit(actor)
    await actor.cache.invalidate(actor.id)
    promise(actor, version)
  },
  write: async (actor) => {
    let version = 0
    await actor.cache.writeThrough(actor.id, async () => number((version = await commit(actor))))
    promise(actor, version)
  },
  /** The connection to the database breaks behind the commit. */
  'write, broken off': async (actor) => {
    const broken = async (): Promise<string> => {
      await commit(actor)
      throw new Error('the connection to the database broke')
    }
    await actor.cache.writeThrough(actor.id, broken).catch(() => {})
    actor.committed = undefined
  },
  mutate: async (actor) => {
    let version = 0
    await actor.cache.mutate({ ids: [actor.id] }, async () => (version = await commit(actor)))
    promise(actor, version)
  },
  'mutate, for replicas': async (actor) => {
    let version = 0
    await actor.cache.mutate(
      { ids: [actor.id], replicaLagMs: LAG_MS },
      async () => (version = await commit(actor)),
    )
    promise(actor, version)
  },
  'set by a token': async (actor) => {
    const { token } = await actor.cache.read(actor.id)
    await actor.stage.pause(actor.who, 'load')
    await actor.cache.set(actor.id, number(actor.world.version), { token })
  },
  'read under the tag': async (actor) => {
    const { floor } = actor.world
    const seen = await actor.cache.getOrLoad(actor.id, { tags: [actor.tag] }, load(actor))
    actor.world.read(Number(seen), floor, actor.who)
  },
  /** Without a loader, and without a word of what it expects the entry to bear. */
  look: async (actor) => {
    const { floor } = actor.world
    const seen = await actor.cache.get(actor.id)
    if (seen !== undefined) actor.world.read(Number(seen), floor, actor.who)
  },
  'change the tag': async (actor) => {
    const version = await commit(actor)
    await actor.cache.invalidateTags([actor.tag])
    promise(actor, version)
  },
  'change the tag above': async (actor) => {
    const version = await commit(actor)
    await actor.cache.invalidateTags([actor.above])
    promise(actor, version)
  },
  'mutate the tag': async (actor) => {
    let version = 0
    await actor.cache.mutate({ tags: [actor.tag] }, async () => (version = await commit(actor)))
    promise(actor, version)
  },
  'mutate the tag above': async (actor) => {
    let version = 0
    await actor.cache.mutate({ tags: [actor.above] }, async () => (version = await commit(actor)))
    promise(actor, version)
  },
  'write under the tag': async (actor) => {
    let version = 0
    const options = { tags: [actor.tag] }
    await actor.cache.writeThrough(actor.id, options, async () => number((version = await commit(actor))))
    promise(actor, version)
  },
  'set by a token under the tag': async (actor) => {
    const { token, found } = await actor.cache.read(actor.id)
    await actor.stage.pause(actor.who, 'load')
    const { version } = actor.world
    // Whoever has found nothing knows of no tags.
    actor.world.unchecked ||= !found
    await actor.cache.set(actor.id, number(version), { token, tags: [actor.tag] })
  },
  set: async (actor) => {
    await actor.stage.pause(actor.who, 'load')
    const { version } = actor.world
    actor.world.unchecked = true
    await actor.cache.set(actor.id, number(version))
  },
} satisfies Record<string, Act>

export type Deed = keyof typeof DEEDS
