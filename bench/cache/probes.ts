import { randomUUID } from 'node:crypto'
import type { LocalCluster } from 'slotwise/local'
import type { Outcome } from '../measuring/held.js'
import { type HeldSubject, start } from './held.js'
import { type Name, OURS, PEERS } from './subjects.js'
import type { Removal } from './tasks.js'

/** What one library did. */
export interface Probed {
  readonly name: Name
  readonly removeDuringLoad: Outcome<{ readonly same: string; readonly other: string }>
  readonly coldKey: Outcome<number>
  readonly removed: Outcome<{ readonly many: Removal; readonly all: Removal }>
  /** Milliseconds until a read-through answered. */
  readonly hung: Outcome<number>
  readonly refusing: Outcome<number>
}

export interface Surroundings {
  readonly cluster: LocalCluster
  readonly progress: (line: string) => void
}

/** Longer than anybody waits for a page. */
export const BOUND_MS = 8000
const TASK_MS = 20_000

export const placeIn = ({ nodes }: LocalCluster) => ({
  nodes: nodes.map(({ host, port }) => ({ host, port })),
  prefix: `bench-${randomUUID().slice(0, 8)}`,
})

/** What goes wrong with a cache, tried on each. Leaves the cluster as it found it, but empty. */
export async function probe(surroundings: Surroundings): Promise<readonly Probed[]> {
  const { cluster, progress } = surroundings
  const names = [...PEERS, OURS]
  const found = new Map<Name, Omit<Probed, 'name' | 'hung' | 'refusing'>>()
  for (const name of names) {
    progress(`probing ${name}`)
    // A process for each: what one leaves behind, in whatever state, must not show in the next.
    const alone = async <R>(use: (held: HeldSubject) => Promise<R>): Promise<R> => {
      const held = await start(name, placeIn(cluster))
      try {
        return await use(held)
      } finally {
        await held.stop()
      }
    }
    found.set(name, {
      removeDuringLoad: await alone((held) => held.ask('removeDuringLoad', [], TASK_MS)),
      coldKey: await alone((held) => held.ask('coldKey', [], TASK_MS)),
      removed: await alone((held) => held.ask('removed', [], TASK_MS)),
    })
  }
  progress('all servers stopped (SIGSTOP)')
  const all = [...cluster.nodes.keys()]
  const hung = await during(surroundings, names, {
    begin: () => Promise.all(all.map((index) => cluster.pause(index))),
    end: () => Promise.all(all.map((index) => cluster.resume(index))),
  })
  progress('all servers killed, connections refused')
  const refusing = await during(surroundings, names, {
    begin: () => Promise.all(all.map((index) => cluster.kill(index))),
    end: () => Promise.all(all.map((index) => cluster.restart(index))),
  })
  const never: Outcome<never> = { kind: 'failed', why: 'not tried' }
  return names.map((name) => ({
    name,
    removeDuringLoad: never,
    coldKey: never,
    removed: never,
    ...found.get(name),
    hung: hung.get(name) ?? never,
    refusing: refusing.get(name) ?? never,
  }))
}

interface Fault {
  readonly begin: () => Promise<unknown>
  readonly end: () => Promise<unknown>
}

/** All connect while all is well; then the fault, and all read something that they have not read yet. */
async function during({ cluster }: Surroundings, names: readonly Name[], { begin, end }: Fault) {
  const held = await Promise.all(names.map((name) => start(name, placeIn(cluster))))
  try {
    for (const one of held) {
      await one.must('open', [])
      for (let n = 0; n < 20; n++) await one.must('once', [`warm-${n}`])
    }
    await begin()
    const outcomes = await Promise.all(
      held.map(async (one) => [one.name, await one.ask('once', ['cold'], BOUND_MS)] as const),
    )
    return new Map<Name, Outcome<number>>(outcomes)
  } finally {
    await Promise.all(held.map((one) => one.stop()))
    await end()
    await cluster.whenHealthy()
  }
}
