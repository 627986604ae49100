import type { LocalCluster } from 'slotwise/local'
import { inTurns } from '../measuring/rates.js'
import { start } from './held.js'
import { placeIn } from './probes.js'
import type { Name } from './subjects.js'
import type { Hits } from './tasks.js'

export const IN_FLIGHT = [1, 64, 512] as const
/** More than are ever in flight, so that nobody can answer two reads with one. */
const KEYS = 2000

export interface Measured {
  readonly name: Name
  readonly inFlight: number
  readonly rounds: readonly Hits[]
}

/** Hits a second of each, every one in a process of its own, in turns. */
export async function measureHits(
  cluster: LocalCluster,
  names: readonly Name[],
  { rounds, ms, progress }: { rounds: number; ms: number; progress: (line: string) => void },
): Promise<readonly Measured[]> {
  const held = await Promise.all(names.map((name) => start(name, placeIn(cluster))))
  try {
    for (const one of held) {
      progress(`storing ${KEYS} entries through ${one.name}`)
      await one.must('open', [])
      await one.must('store', [KEYS], 120_000)
    }
    const results: Measured[] = []
    for (const inFlight of IN_FLIGHT) {
      progress(`hits, ${inFlight} in flight, ${rounds} rounds`)
      for (const one of held) await one.must('hits', [KEYS, inFlight, ms])
      const measured = await inTurns(
        rounds,
        held.map((one) => () => one.must('hits', [KEYS, inFlight, ms])),
      )
      names.forEach((name, i) => results.push({ name, inFlight, rounds: measured[i] ?? [] }))
    }
    return results
  } finally {
    await Promise.all(held.map((one) => one.stop()))
  }
}

/** Loads for one cold key that five processes ask for a hundred times each, all at once. */
export async function measureHerd(cluster: LocalCluster, name: Name): Promise<number> {
  const place = placeIn(cluster)
  const held = await Promise.all(Array.from({ length: 5 }, () => start(name, place)))
  try {
    await Promise.all(held.map((one) => one.must('open', [])))
    const loads = await Promise.all(held.map((one) => one.must('calls', [100])))
    return loads.reduce((sum, more) => sum + more, 0)
  } finally {
    await Promise.all(held.map((one) => one.stop()))
  }
}
