import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from 'slotwise/local'
import { upFor } from './servers.js'
import type { Candidate, Place, Subject } from './subject.js'
import { CANDIDATES } from './subjects.js'

const TTL_MS = 1000
/** From taking them until all servers stop. */
const HUNG_AFTER_MS = 200
/** A holder that is not told by then counts as one that is never told. */
export const BOUND_MS = 8000
const LOCKS = 5

export interface Loss {
  readonly name: string
  /** Of each lock: milliseconds from the end of its time, counted from before it was asked for, until its holder was told. */
  readonly toldMs: readonly number[]
  /** Errors that nobody could catch: they end a process that does not listen for them. */
  readonly uncaught: readonly string[]
}

/** Everybody holds locks that extend themselves when all servers stop where they stand (SIGSTOP). */
export async function measureLoss(cluster: LocalCluster, placeOf: () => Place): Promise<readonly Loss[]> {
  await upFor(placeOf().ports, TTL_MS)
  const all: { name: string; subject: Subject }[] = []
  const uncaught: unknown[] = []
  const caught = (error: unknown) => {
    uncaught.push(error)
  }
  process.on('unhandledRejection', caught)
  const indexes = [...cluster.nodes.keys()]
  try {
    for (const [name, candidate] of Object.entries(CANDIDATES))
      all.push({ name, subject: await warm(placeOf(), candidate) })
    const losses = all.map(({ name, subject }) => ({ name, told: toldOf(subject) }))
    await sleep(HUNG_AFTER_MS)
    await Promise.all(indexes.map((index) => cluster.pause(index)))
    const results: Loss[] = []
    for (const { name, told } of losses) {
      const toldMs = await told
      if (toldMs.length > 0) results.push({ name, toldMs, uncaught: [] })
    }
    return results.map((one) => ({ ...one, uncaught: uncaught.map(String) }))
  } finally {
    await Promise.all(indexes.map((index) => cluster.resume(index)))
    await cluster.whenHealthy()
    await Promise.all(all.map(({ subject }) => subject.close()))
    process.off('unhandledRejection', caught)
  }
}

async function warm(place: Place, { open }: Candidate): Promise<Subject> {
  const subject = await open(place, { ttlMs: TTL_MS })
  for (let i = 0; i < LOCKS; i++) await (await subject.acquire(`job-${i}`)).release()
  return subject
}

const toldOf = (subject: Subject): Promise<readonly number[]> =>
  Promise.all(
    Array.from({ length: subject.hold === undefined ? 0 : LOCKS }, async (_, i) => {
      const over = performance.now() + TTL_MS
      const lock = await subject.hold?.(`job-${i}`)
      const told = lock?.lost.then(() => performance.now() - over)
      return (await Promise.race([told, sleep(BOUND_MS, Number.POSITIVE_INFINITY)])) as number
    }),
  )
