import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { inTurns, rateOf } from '../measuring/rates.js'
import { placeIn, type Served, served } from './server.js'
import type { Limit, Open, Subject } from './subject.js'
import { SUBJECTS, UNIONS } from './subjects.js'

export const IN_FLIGHT = [1, 64] as const

/** So large that nobody is ever refused: a bucket of a second, and windows of a minute and an hour. */
export const LIMITS: readonly Limit[] = [
  { limit: 10_000, windowMs: 1000 },
  { limit: 100_000, windowMs: 60_000 },
  { limit: 1_000_000, windowMs: 3_600_000 },
]

const IDS = 1000
const idAt = (i: number): string => `customer-${10_000 + (i % IDS)}`

export interface Round {
  readonly perSecond: number
  /** By decision. */
  readonly serverUs: number
  readonly scripts: number
  readonly inside: number
}

export interface Measured {
  readonly name: string
  readonly limits: number
  readonly inFlight: number
  readonly rounds: readonly Round[]
}

/** Decisions a second of everybody, in turns, each about another of a thousand ids, all of them admitted. */
export async function measureSpeed(
  cluster: LocalCluster,
  port: RedisPort,
  { rounds, ms, progress }: { rounds: number; ms: number; progress: (line: string) => void },
): Promise<readonly Measured[]> {
  const all: { name: string; limits: readonly Limit[]; subject: Subject }[] = []
  const open = async (subjects: Readonly<Record<string, Open>>, limits: readonly Limit[]) => {
    for (const [name, one] of Object.entries(subjects)) {
      all.push({ name, limits, subject: await one(placeIn(cluster), limits) })
    }
  }
  try {
    await open(UNIONS, LIMITS)
    await open(SUBJECTS, LIMITS.slice(1, 2))
    const measured: Measured[] = []
    for (const inFlight of IN_FLIGHT) {
      const taking = all.map(({ name, subject }) => async (forMs: number): Promise<Round> => {
        let calls = 0
        let perSecond = 0
        const take = async (i: number) => {
          if (!(await subject.take(idAt(i)))) throw new Error(`${name} refused`)
        }
        const { us, scripts, inside } = await served(port, async () => {
          ;({ calls, perSecond } = await rateOf(take, inFlight, forMs))
        })
        return byDecision({ us, scripts, inside }, calls, perSecond)
      })
      progress(`warming up, ${inFlight} in flight`)
      for (const warmUp of taking) await warmUp(Math.min(ms, 500))
      progress(`${rounds} rounds of ${all.length}, ${inFlight} in flight`)
      const results = await inTurns(
        rounds,
        taking.map((take) => () => take(ms)),
      )
      measured.push(
        ...all.map(({ name, limits }, i) => ({
          name,
          limits: limits.length,
          inFlight,
          rounds: results[i] ?? [],
        })),
      )
    }
    return measured
  } finally {
    await Promise.all(all.map(({ subject }) => subject.close()))
  }
}

const byDecision = ({ us, scripts, inside }: Served, calls: number, perSecond: number): Round => ({
  perSecond,
  serverUs: us / calls,
  scripts: scripts / calls,
  inside: inside / calls,
})
