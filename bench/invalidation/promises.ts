import type { Finding } from '../measuring/findings.js'
import { median, ratioOf } from '../measuring/rates.js'
import type { Cost } from './cost.js'
import type { Measured } from './hits.js'
import type { OneByOne } from './one-by-one.js'
import type { Probed } from './probes.js'
import { MAX_STALENESS_MS } from './slotwise.js'
import { BENTO, BENTO_SHARED, COPIED, OURS } from './subjects.js'
import type { Borne, Tagged } from './tags.js'
import { type Replayed, SHARED_ENTRIES, type Shared } from './trace.js'

/** What a read on a busy machine may take beyond what was promised. */
const GRACE_MS = 100

export function probeFindings(probes: readonly Probed[]): readonly Finding[] {
  const ours = probes.find(({ name }) => name === OURS)
  const tag = ours?.tagDuringLoad
  const faults = [ours?.well, ours?.killed, ours?.afterwards, ours?.halfOpen]
  const most = MAX_STALENESS_MS + GRACE_MS
  return [
    {
      holds:
        tag?.kind === 'done' &&
        tag.result.isStored &&
        tag.result.same === 'new' &&
        tag.result.other === 'new',
      line: 'what was being loaded while its tag was invalidated is not read later, by the same instance and by another',
    },
    {
      holds: faults.every((one) => one?.kind === 'done' && one.result !== undefined && one.result <= most),
      line: `nothing is served for longer than ${MAX_STALENESS_MS} ms after it changed, whatever becomes of the connections that tell (and ${GRACE_MS} ms for the machine)`,
    },
  ]
}

export function hitFindings(hits: readonly Measured[]): readonly Finding[] {
  const of = (name: Measured['name']) => hits.find((one) => one.name === name)?.rounds ?? []
  const ratio = (ours: Measured['name'], theirs: Measured['name'], field: 'ns' | 'cpuNs') =>
    ratioOf(
      of(ours).map((round) => round[field]),
      of(theirs).map((round) => round[field]),
    )
  const others = [OURS, COPIED].flatMap((name) => of(name).map((round) => round.others / round.calls))
  return [
    ...[OURS, COPIED].map((ours): Finding => {
      const is = ratio(ours, BENTO, 'cpuNs')
      return {
        holds: is <= 0.5,
        line: `a hit in the process takes ${is.toFixed(2)} × the processor time of ${BENTO}, ${ratio(ours, BENTO, 'ns').toFixed(2)} × its time: ${ours} (promised 0.5)`,
      }
    }),
    {
      line: `beside what ${BENTO_SHARED.replace('bentocache 1.6.1, ', '')} makes everybody's: ${ratio(OURS, BENTO_SHARED, 'cpuNs').toFixed(2)} × its processor time`,
    },
    {
      holds: median(others) <= 0.01,
      line: `of our hits, ${(Math.max(...others) * 100).toFixed(2)} % at most were proved again by Redis (promised 1 % in half of the rounds)`,
    },
  ]
}

export function tagFindings(tagged: readonly Tagged[], borne: readonly Borne[]): readonly Finding[] {
  const of = (count: number): readonly OneByOne[] => tagged.find(({ tags }) => tags === count)?.rounds ?? []
  const each = (count: number) =>
    median(of(count).map(({ cpuNs }, i) => (cpuNs - (of(0)[i]?.cpuNs ?? Number.NaN)) / count))
  const [few, many] = [borne[0], borne.at(-1)]
  const slower = ratioOf(many?.ms ?? [], few?.ms ?? [])
  return [
    ...tagged
      .filter(({ tags }) => tags > 0)
      .map(
        ({ tags }): Finding => ({
          holds: each(tags) <= 50,
          line: `${each(tags).toFixed(0)} ns more of a hit in the process for each of ${tags} ${tags === 1 ? 'tag' : 'tags'} (promised 50)`,
        }),
      ),
    ...borne.map(
      ({ entries, commands, reloaded, ms }): Finding => ({
        holds: commands.length === 1 && reloaded === 10,
        line: `a tag that ${entries.toLocaleString('en')} entries bear: one invalidation sends ${commands.join(', ')}, ${median(ms).toFixed(2)} ms, and ${reloaded} of 10 of them are loaded anew`,
      }),
    ),
    { holds: slower <= 1.5, line: `${slower.toFixed(2)} × the time for the many (promised 1.5)` },
  ]
}

export const costFindings = (costs: readonly Cost[]): readonly Finding[] =>
  costs.map(({ what, commands, bytes }) => ({
    line: `a level costs each primary ${commands.toFixed(1)} commands and ${bytes.toFixed(0)} bytes sent a second: ${what}`,
  }))

export function traceFindings(replayed: readonly Replayed[], shared: readonly Shared[]): readonly Finding[] {
  // What is known has four digits.
  const half = 0.00006
  return [
    ...replayed.map(
      ({ trace, entries, lru, optimal, requests, ratio }): Finding => ({
        holds: ratio >= lru - half && ratio <= optimal + half,
        line: `${trace}, ${requests} requests, ${entries} entries: ${ratio.toFixed(4)} hits in the process (an LRU ${lru.toFixed(4)}, the best possible ${optimal.toFixed(4)})`,
      }),
    ),
    ...shared
      .filter(({ hasLevel }) => hasLevel)
      .map((one): Finding => {
        const alone = shared.find(({ hasLevel, processes }) => !hasLevel && processes === one.processes)
        const asked = ({ loads, bypasses }: Shared) => loads - bypasses
        const loads = (those: Shared) => `${those.loads} loads (${those.bypasses} since Redis was late)`
        if (alone === undefined) return { holds: false, line: 'Redis alone was not measured' }
        return {
          holds: asked(one) <= asked(alone) * 1.01,
          line: `web12 shared by ${one.processes}, ${SHARED_ENTRIES} entries each: ${(one.localHits / one.requests).toFixed(3)} hits in the processes, ${loads(one)}, ${(one.ms / 1000).toFixed(1)} s; Redis alone ${loads(alone)}, ${(alone.ms / 1000).toFixed(1)} s (promised: not a hundredth more loads while Redis answers)`,
        }
      }),
  ]
}
