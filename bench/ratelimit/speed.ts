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
  /** Of each decision: microseconds of the servers, and those among them of the commands that scripts run. */
  readonly serverUs: number
  readonly insideUs: number
  /** Microseconds of the processor that this process takes for it. */
  readonly clientUs: number
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
        let clientUs = 0
        const sums = await served(port, async () => {
          const before = process.cpuUsage()
          ;({ calls, perSecond } = await rateOf(take, inFlight, forMs))
          const { user, system } = process.cpuUsage(before)
          clientUs = (user + system) / calls
        })
        return { perSecond, clientUs, ...byDecision(sums, calls) }
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

const byDecision = ({ us, insideUs, scripts, inside }: Served, calls: number) => ({
  serverUs: us / calls,
  insideUs: insideUs / calls,
  scripts: scripts / calls,
  inside: inside / calls,
})
