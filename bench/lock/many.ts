import { setTimeout as sleep } from 'node:timers/promises'
import { count, counted, upFor } from './servers.js'
import type { Candidate, Held, Place } from './subject.js'
import { CANDIDATES } from './subjects.js'

export const LOCKS = 10_000
export const TTL_MS = 30_000
/** Ours does so at a third of the time, others are told to: later is cheaper, and leaves less time for what goes wrong. */
export const EVERY_MS = TTL_MS / 3

export interface Many {
  readonly name: string
  /** Of one processor, of this process. */
  readonly cpu: number
  readonly perSecond: number
  readonly serverUs: number
  readonly lost: number
}

/** Locks that extend themselves, for one time of all of them. */
export async function measureMany(
  placeOf: () => Place,
  progress: (line: string) => void,
): Promise<readonly Many[]> {
  progress(`waiting until the servers are up for ${TTL_MS / 1000} s`)
  await upFor(placeOf().ports, TTL_MS)
  const measured: Many[] = []
  for (const [name, candidate] of Object.entries(CANDIDATES)) {
    progress(`${LOCKS} locks of ${name} for ${EVERY_MS / 1000} s`)
    const one = await manyOf(placeOf(), candidate)
    if (one !== undefined) measured.push({ name, ...one })
  }
  return measured
}

async function manyOf(place: Place, { open, sends }: Candidate): Promise<Omit<Many, 'name'> | undefined> {
  const subject = await open(place, { ttlMs: TTL_MS, everyMs: EVERY_MS })
  const hold = subject.hold?.bind(subject)
  try {
    if (hold === undefined) return undefined
    const held: Held[] = []
    for (let i = 0; i < LOCKS; i += 50) {
      held.push(...(await Promise.all(Array.from({ length: 50 }, (_, j) => hold(`job-${i + j}`)))))
    }
    let lost = 0
    for (const one of held) void one.lost.then(() => lost++)
    await count(place.ports)
    const [before, from] = [process.cpuUsage(), performance.now()]
    await sleep(EVERY_MS)
    const { user, system } = process.cpuUsage(before)
    const ms = performance.now() - from
    const { sent } = await counted(place.ports, sends)
    for (let i = 0; i < held.length; i += 50) {
      await Promise.all(held.slice(i, i + 50).map((one) => one.release()))
    }
    return {
      cpu: (user + system) / 1000 / ms,
      perSecond: (sent.calls / ms) * 1000,
      serverUs: sent.us / sent.calls,
      lost,
    }
  } finally {
    await subject.close()
  }
}
