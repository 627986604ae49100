import type { LocalCluster } from 'slotwise/local'
import { inTurns } from '../measuring/rates.js'
import { start } from './held.js'
import { levelsIn } from './probes.js'
import { BENTO, BENTO_SHARED, COPIED, type Name, OURS } from './subjects.js'
import type { LocalHits } from './tasks.js'

const KEYS = 1000

export interface Measured {
  readonly name: Name
  readonly rounds: readonly LocalHits[]
}

/** What a hit in the process takes, each library in a process of its own, in turns. */
export async function measureHits(
  cluster: LocalCluster,
  { rounds, ms }: { readonly rounds: number; readonly ms: number },
): Promise<readonly Measured[]> {
  const names = [OURS, COPIED, BENTO, BENTO_SHARED] as const
  const held = await Promise.all(names.map((name) => start(name, levelsIn(cluster))))
  try {
    for (const one of held) {
      await one.must('open', [])
      await one.must('hold', [KEYS])
      await one.must('hits', [KEYS, ms])
    }
    const measured = await inTurns(
      rounds,
      held.map((one) => () => one.must('hits', [KEYS, ms])),
    )
    return names.map((name, i) => ({ name, rounds: measured[i] ?? [] }))
  } finally {
    await Promise.all(held.map((one) => one.stop()))
  }
}
