import { inTurns, rateOf } from '../measuring/rates.js'
import { type Calls, count, counted, upFor } from './servers.js'
import type { Place, Subject } from './subject.js'
import { CANDIDATES } from './subjects.js'

export const IN_FLIGHT = [1, 64] as const
/** Whoever measures has to wait for as long after servers have started. */
const TTL_MS = 5000

const RESOURCES = 1000
const resourceAt = (i: number): string => `invoice-${10_000 + (i % RESOURCES)}`

/** Of each time that a lock was taken and given back. */
export interface Round {
  readonly perSecond: number
  /** Commands that were sent, and microseconds of all servers for them. */
  readonly commands: number
  readonly serverUs: number
  /** What scripts ran, and how long that took. */
  readonly inside: Readonly<Record<string, Calls>>
  readonly bytesIn: number
  readonly bytesOut: number
  /** Microseconds of the processor that this process took. */
  readonly clientUs: number
}

export interface Measured {
  readonly name: string
  readonly inFlight: number
  readonly rounds: readonly Round[]
}

/** Locks that nobody else wants, taken and given back, each another one of a thousand; everybody in turns. */
export async function measureSpeed(
  placeOf: () => Place,
  { rounds, ms, progress }: { rounds: number; ms: number; progress: (line: string) => void },
): Promise<readonly Measured[]> {
  await upFor(placeOf().ports, TTL_MS)
  const all: { name: string; sends: readonly string[]; place: Place; subject: Subject }[] = []
  try {
    for (const [name, { open, sends = [] }] of Object.entries(CANDIDATES)) {
      const place = placeOf()
      all.push({ name, sends, place, subject: await open(place, { ttlMs: TTL_MS }) })
    }
    const cycle = (subject: Subject) => async (i: number) => {
      const lock = await subject.acquire(resourceAt(i))
      await lock.release()
    }
    progress(`each of ${RESOURCES} resources once`)
    for (const { subject } of all) {
      for (let i = 0; i < RESOURCES; i += 50) {
        await Promise.all(Array.from({ length: 50 }, (_, j) => cycle(subject)(i + j)))
      }
    }
    const measured: Measured[] = []
    for (const inFlight of IN_FLIGHT) {
      const cycling = all.map(({ subject, sends, place }) => async (forMs: number): Promise<Round> => {
        await count(place.ports)
        const before = process.cpuUsage()
        const { calls, perSecond } = await rateOf(cycle(subject), inFlight, forMs)
        const { user, system } = process.cpuUsage(before)
        const { sent, inside, bytesIn, bytesOut } = await counted(place.ports, sends)
        return {
          perSecond,
          commands: sent.calls / calls,
          serverUs: sent.us / calls,
          inside: Object.fromEntries(
            Object.entries(inside).map(([name, one]) => [
              name,
              { calls: one.calls / calls, us: one.us / calls },
            ]),
          ),
          bytesIn: bytesIn / calls,
          bytesOut: bytesOut / calls,
          clientUs: (user + system) / calls,
        }
      })
      progress(`warming up, ${inFlight} in flight`)
      for (const warmUp of cycling) await warmUp(Math.min(ms, 500))
      progress(`${rounds} rounds of ${all.length}, ${inFlight} in flight`)
      const results = await inTurns(
        rounds,
        cycling.map((one) => () => one(ms)),
      )
      measured.push(...all.map(({ name }, i) => ({ name, inFlight, rounds: results[i] ?? [] })))
    }
    return measured
  } finally {
    await Promise.all(all.map(({ subject }) => subject.close()))
  }
}
