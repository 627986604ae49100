import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { RedisUnavailableError } from '../../../src/errors.js'
import { type Key, type RedisPort, slotOf } from '../../../src/redis/index.js'
import { listening } from '../../support/listening.js'
import { portWith } from '../../support/port-with.js'
import { roundTripping } from './counted-port.js'
import { gate } from './gate.js'
import { type Call, watched } from './watched-port.js'

/** Memory before Redis, in one process; ours and the article's have it. */
export interface Levels {
  get(id: string): Promise<string | undefined>
  set(id: string, value: string): Promise<unknown>
  invalidate(id: string, options: { readonly everywhere?: boolean }): Promise<void>
  invalidateAll(): Promise<unknown>
  close(): Promise<void>
}

/** For how long a process may serve what has been replaced, and how much it may hold. */
export const MAX_STALENESS_MS = 400
export const MAX_ENTRIES = 10

/** A process: its levels, what becomes of what it sends and hears, and how often it has asked. */
interface Process {
  readonly levels: Levels
  readonly faults: {
    /** Hears nothing: neither messages, nor what servers tell unasked. */
    isDeaf: boolean
    /** Redis takes nothing from it. */
    isRefused: boolean
    /** Called between an answer of Redis and whoever waits for it. */
    answered: (call: Call) => Promise<void> | void
  }
  readonly roundTrips: () => number
}

/** Two processes over entries of their own. */
export interface Scene {
  readonly holder: Process
  readonly other: Process
  /** To write past the levels, as programs in other languages do. */
  readonly port: RedisPort
  /** The key of an entry. */
  keyOf(id: string): Key
}

export async function processOf(
  port: RedisPort,
  open: (through: RedisPort) => Levels | Promise<Levels>,
): Promise<Process> {
  const faults: Process['faults'] = { isDeaf: false, isRefused: false, answered: () => {} }
  const counted = roundTripping(hearing(port, () => !faults.isDeaf))
  const through = watched(
    counted.port,
    () => {
      if (faults.isRefused) throw new RedisUnavailableError('refused by the test')
    },
    (call) => faults.answered(call),
  )
  return { levels: await open(through), faults, roundTrips: counted.roundTrips }
}

/** Each returns what the holder, or whoever is named, is told in the end; `nothing` where it has to load. */
export const promises: Readonly<Record<string, (scene: Scene) => Promise<string>>> = {
  'a process that misses a message does not go on serving what was invalidated': async (scene) => {
    const id = await heldBy(scene)
    scene.holder.faults.isDeaf = true
    await scene.other.levels.invalidate(id, {})
    return await inTheEnd(scene, id)
  },

  'once an invalidation has resolved that is to be known everywhere, it is': async (scene) => {
    const id = await heldBy(scene)
    scene.holder.faults.isDeaf = true
    await scene.other.levels.invalidate(id, { everywhere: true })
    return (await scene.holder.levels.get(id)) ?? 'nothing'
  },

  'an answer that was on its way during an invalidation is not held': async (scene) => {
    const id = await readDuring(scene, (one) => scene.other.levels.invalidate(one, {}))
    return await inTheEnd(scene, id)
  },

  'not even by the process that invalidates, which sees its own change at once': async (scene) => {
    const id = await readDuring(scene, (one) => scene.holder.levels.invalidate(one, {}))
    return (await scene.holder.levels.get(id)) ?? 'nothing'
  },

  'what another process stores is served instead': async (scene) => {
    const id = await heldBy(scene)
    await scene.other.levels.set(id, 'new')
    return await inTheEnd(scene, id)
  },

  'what any program removes is not served any more': async (scene) => {
    const id = await heldBy(scene)
    const key = scene.keyOf(id)
    await scene.port.call({ key, command: ['DEL', key] })
    return await inTheEnd(scene, id)
  },

  'what ends in Redis ends in the process': async (scene) => {
    const id = await heldBy(scene)
    const key = scene.keyOf(id)
    await scene.port.call({ key, command: ['PEXPIRE', key, 1] })
    await expect.poll(() => scene.port.call({ key, command: ['EXISTS', key] }), POLL).toBe(0)
    return await inTheEnd(scene, id)
  },

  'what Redis did not take is not served': async ({ holder }) => {
    const id = randomUUID()
    holder.faults.isRefused = true
    await expect(holder.levels.set(id, 'old')).rejects.toBeInstanceOf(Error)
    holder.faults.isRefused = false
    return (await holder.levels.get(id)) ?? 'nothing'
  },
}

/** How many of 60 entries are gone once all were to be removed. */
export async function goneOfSixty({ holder, other }: Scene): Promise<number> {
  const ids = Array.from({ length: 60 }, () => randomUUID())
  for (const id of ids) await other.levels.set(id, 'old')
  await other.levels.invalidateAll()
  const left = await Promise.all(ids.map((id) => holder.levels.get(id)))
  return left.filter((value) => value === undefined).length
}

/** How many of 30 entries a process holds that has read all of them. */
export async function heldOfThirty(scene: Scene): Promise<number> {
  const { holder, other } = scene
  await heldBy(scene)
  const ids = Array.from({ length: 30 }, () => randomUUID())
  for (const id of ids) await other.levels.set(id, 'value')
  const passes: number[] = []
  // What a process does besides may look like a round trip, so the most that was seen counts.
  for (let pass = 0; pass < 5; pass++) {
    for (const id of ids) await holder.levels.get(id)
    let hits = 0
    // Backwards, since what was read last is what is held.
    for (const id of ids.toReversed()) if (await isHeld(holder, id)) hits++
    passes.push(hits)
  }
  return Math.max(...passes)
}

const POLL = { interval: 5, timeout: 5000 }

/** An entry that is `old`, and that the holder serves without asking. */
async function heldBy({ holder, other }: Scene): Promise<string> {
  const id = randomUUID()
  await other.levels.set(id, 'old')
  await expect.poll(() => isHeld(holder, id), POLL).toBe(true)
  return id
}

async function isHeld({ levels, roundTrips }: Process, id: string): Promise<boolean> {
  const before = roundTrips()
  return (await levels.get(id)) !== undefined && roundTrips() === before
}

/** The holder is reading while `invalidate` runs, and hears of that before Redis's answer: which entry it was. */
async function readDuring(scene: Scene, invalidate: (id: string) => Promise<void>): Promise<string> {
  const { holder, other } = scene
  const near = await heldBy(scene)
  const id = beside(near, scene)
  await other.levels.set(id, 'old')
  const [answered, go] = [gate(), gate()]
  holder.faults.answered = async (call) => {
    if (!('key' in call) || !call.key.includes(id)) return
    holder.faults.answered = () => {}
    answered.open()
    await go.passed
  }
  const reading = holder.levels.get(id)
  await answered.passed
  await invalidate(id)
  // The same server tells of this one after that one.
  await other.levels.invalidate(near, {})
  await expect.poll(() => holder.levels.get(near), POLL).toBeUndefined()
  go.open()
  expect(await reading).toBe('old')
  return id
}

/** What the holder serves as soon as it is not what was replaced, and at the latest after the time it may be behind. */
async function inTheEnd({ holder }: Scene, id: string): Promise<string> {
  const from = performance.now()
  while (performance.now() - from <= MAX_STALENESS_MS) {
    const value = await holder.levels.get(id)
    if (value !== 'old') return value ?? 'nothing'
    await new Promise((resolve) => setImmediate(resolve))
  }
  return (await holder.levels.get(id)) ?? 'nothing'
}

/** An entry that the same primary holds. */
function beside(id: string, scene: Scene): string {
  const ownerOf = (one: string) => scene.port.topology().ownerOf(slotOf(scene.keyOf(one)))?.id
  for (;;) {
    const other = randomUUID()
    if (ownerOf(other) === ownerOf(id)) return other
  }
}

/** A port that hears what it is told, unless told otherwise. */
function hearing(port: RedisPort, hears: () => boolean): RedisPort {
  const subscribe: RedisPort['subscribe'] = (channel, listener, options) =>
    port.subscribe(
      channel,
      {
        message: (payload) => {
          if (hears()) listener.message(payload)
        },
        interrupted: (reason) => listener.interrupted?.(reason),
        resumed: () => listener.resumed?.(),
      },
      options,
    )
  return portWith(listening(port, { isHalfOpen: () => !hears() }), { subscribe })
}
