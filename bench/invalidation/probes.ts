import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from 'slotwise/local'
import { type ProxiedNodes, proxied } from 'slotwise/testing/faults'
import { placeIn } from '../cache/probes.js'
import type { Outcome } from '../measuring/held.js'
import { type HeldLevels, start } from './held.js'
import type { LevelsPlace } from './subject.js'
import { LEVELLED, type Name, TAGGED } from './subjects.js'
import type { TagDuringLoad } from './tasks.js'

/** How long a second instance served what was outdated: milliseconds, `undefined` for longer than was waited. */
export type Stale = Outcome<number | undefined>

/** What one library did. What it has no such thing for is left out. */
export interface Probed {
  readonly name: Name
  readonly tagDuringLoad?: Outcome<TagDuringLoad>
  /** While all is well. */
  readonly well?: Stale
  /** The connections that tell of changes are cut, a change is missed, and they can be made again. */
  readonly killed?: Stale
  /** The next change after that. */
  readonly afterwards?: Stale
  /** Those connections stay open and carry nothing any more. */
  readonly halfOpen?: Stale
}

export interface Surroundings {
  readonly cluster: LocalCluster
  readonly progress: (line: string) => void
}

const TASK_MS = 20_000
/** How long what is outdated is waited for to go. */
export const BOUND_MS = 10_000
/** How long nobody can connect again: long enough for one change. */
const CUT_MS = 500

/** What goes wrong with invalidation, tried on each. Everybody has processes of their own. */
export async function probe({ cluster, progress }: Surroundings): Promise<readonly Probed[]> {
  const names = [...new Set([...TAGGED, ...LEVELLED])]
  const probed: Probed[] = []
  for (const name of names) {
    progress(`probing ${name}`)
    const tagged = TAGGED.includes(name) ? { tagDuringLoad: await changedTag(cluster, name) } : {}
    probed.push({ name, ...tagged, ...(LEVELLED.includes(name) ? await faults(cluster, name) : {}) })
  }
  return probed
}

/** Where nothing stands between a cache and what tells it of changes. */
export function levelsIn(cluster: LocalCluster): LevelsPlace {
  const place = placeIn(cluster)
  return { ...place, bus: place.nodes }
}

async function faults(cluster: LocalCluster, name: Name): Promise<Omit<Probed, 'name'>> {
  const probed = await cut(cluster, name)
  // Whom nothing tells of changes has nothing to lose.
  const hears = probed.well.kind !== 'done' || probed.well.result !== undefined
  return hears ? { ...probed, halfOpen: await silent(cluster, name) } : probed
}

async function changedTag(cluster: LocalCluster, name: Name): Promise<Outcome<TagDuringLoad>> {
  const held = await start(name, levelsIn(cluster))
  try {
    return await held.ask('tagDuringLoad', [], TASK_MS)
  } finally {
    await held.stop()
  }
}

interface Pair {
  readonly writer: HeldLevels
  /** Hears of changes through proxies. */
  readonly reader: HeldLevels
  readonly proxies: ProxiedNodes<object>
  /** A value that both have read changes, `during` which something may be the matter: how long the reader gives the old one. */
  readonly change: (id: string, during?: () => Promise<void>) => Promise<Stale>
}

async function paired<R>(cluster: LocalCluster, name: Name, use: (pair: Pair) => Promise<R>): Promise<R> {
  const place = levelsIn(cluster)
  await using proxies = await proxied({ nodes: place.nodes.map(({ host, port }) => `${host}:${port}`) })
  const bus = proxies.proxies.map(({ host, port }) => ({ host, port }))
  const held = await Promise.all([start(name, place), start(name, { ...place, bus })])
  const [writer, reader] = held
  try {
    await Promise.all(held.map((one) => one.must('open', [])))
    const change = async (id: string, during?: () => Promise<void>): Promise<Stale> => {
      await writer.must('read', [id, 'old'])
      for (let n = 0; n < 5; n++) {
        // So that it is held, and what is told of the storing has been told.
        await reader.must('read', [id, 'old'])
        await sleep(50)
      }
      await reader.must('mustHold', [id])
      await during?.()
      await writer.must('remove', [id])
      return await reader.ask('staleFor', [id, 'new', BOUND_MS], BOUND_MS + TASK_MS)
    }
    return await use({ writer, reader, proxies, change })
  } finally {
    await Promise.all(held.map((one) => one.stop()))
  }
}

type Cut = { readonly well: Stale } & Pick<Probed, 'killed' | 'afterwards'>

const cut = (cluster: LocalCluster, name: Name): Promise<Cut> =>
  paired(cluster, name, async ({ change, proxies: nodes }) => {
    const well = await change('well')
    if (well.kind === 'done' && well.result === undefined) return { well }
    let healed: Promise<void> | undefined
    const killed = await change('killed', async () => {
      for (const proxy of nodes.proxies) {
        proxy.refuse()
        proxy.reset()
      }
      healed = sleep(CUT_MS).then(() => nodes.heal())
    })
    await healed
    if (killed.kind === 'crashed') return { well, killed }
    // Longer than any of them takes to connect again.
    await sleep(3000)
    return { well, killed, afterwards: await change('afterwards') }
  })

const silent = (cluster: LocalCluster, name: Name): Promise<Stale> =>
  paired(cluster, name, ({ change, proxies: { proxies } }) =>
    change('silent', async () => {
      for (const proxy of proxies) proxy.drop()
    }),
  )
