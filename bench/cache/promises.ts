import type { Finding } from '../measuring/findings.js'
import { median, ratioOf } from '../measuring/rates.js'
import type { Counted } from './counted.js'
import { IN_FLIGHT, type Measured } from './hits.js'
import { type Hung, LOADER_MS } from './hung.js'
import type { Many, Round } from './many.js'
import type { Probed } from './probes.js'
import { type Name, OURS, PLAIN } from './subjects.js'

/** What was measured of speed. */
export interface Speed {
  readonly hits: readonly Measured[]
  readonly herd: readonly { readonly name: Name; readonly loads: number }[]
  readonly counted: Counted
  readonly many: Many
  readonly hung: Hung
  readonly memory: { readonly hash: number; readonly string: number; readonly json: number }
}

const same = (found: readonly string[], wanted: readonly string[]) => found.join() === wanted.join()

/** What is promised of ours, and the same of the others beside it. */
export function speedFindings({ hits, herd, counted, many, hung, memory }: Speed): readonly Finding[] {
  const of = (name: Name, inFlight: number) =>
    hits.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
  const ratio = (inFlight: number, field: 'perSecond' | 'cpuUs') =>
    ratioOf(
      of(OURS, inFlight).map((round) => round[field]),
      of(PLAIN, inFlight).map((round) => round[field]),
    )
  const manyRatio = (theirs: readonly Round[], field: keyof Round) =>
    ratioOf(
      many.ours.map((round) => round[field]),
      theirs.map((round) => round[field]),
    )
  const toAll = manyRatio(many.byHand, 'ms')
  return [
    ...IN_FLIGHT.map((inFlight): Finding => {
      const is = ratio(inFlight, 'perSecond')
      const cpu = ratio(inFlight, 'cpuUs').toFixed(2)
      const line = `${is.toFixed(2)} × the hits of ${PLAIN}, ${inFlight} in flight, at ${cpu} × its processor time`
      return inFlight === 64 ? { holds: is >= 0.9, line: `${line} (promised 0.9)` } : { line }
    }),
    { holds: same(counted.hit, ['HGET']), line: `a hit sends ${counted.hit.join(', ')}` },
    {
      holds:
        same(counted.miss.beforeValue, ['HGET', 'EVALSHA']) &&
        same(counted.miss.inAll, ['HGET', 'EVALSHA', 'EVALSHA']),
      line: `a miss sends ${counted.miss.beforeValue.join(', ')} before its loader runs, ${counted.miss.inAll.length} commands in all`,
    },
    {
      holds: same(counted.invalidate, ['DEL']),
      line: `an invalidation sends ${counted.invalidate.join(', ')}`,
    },
    {
      holds: toAll <= 1.3,
      line: `getMany of 100: ${median(many.ours.map((round) => round.ms)).toFixed(2)} ms, ${toAll.toFixed(2)} × pipelines by hand to all nodes at once (promised 1.3), at ${manyRatio(many.byHand, 'cpuMs').toFixed(2)} × their processor time; ${manyRatio(many.oneNode, 'ms').toFixed(2)} × the largest of them alone`,
    },
    ...herd.map(({ name, loads }): Finding => {
      const line = `${loads} ${loads === 1 ? 'load' : 'loads'} for one cold key, 5 processes × 100 calls: ${name}`
      return name === OURS ? { holds: loads === 1, line } : { line }
    }),
    {
      holds: hung.p99Ms <= 50 + LOADER_MS,
      line: `all primaries stopped: read-through p50 ${hung.p50Ms.toFixed(0)} ms, p99 ${hung.p99Ms.toFixed(0)} ms, at most ${hung.maxMs.toFixed(0)} ms, of which the loader ${LOADER_MS} ms (promised p99 50 + ${LOADER_MS})`,
    },
    {
      line: `one entry takes ${memory.hash} bytes of Redis; its ${memory.json} bytes of JSON as a string, ${memory.string}`,
    },
  ]
}

/** Keys that are removed. */
const REMOVED = 60

/** What is promised of ours among what was probed of everybody. */
export function probeFindings(probes: readonly Probed[]): readonly Finding[] {
  const ours = probes.find(({ name }) => name === OURS)
  if (ours === undefined) return [{ holds: false, line: 'ours was not probed' }]
  const { removeDuringLoad: removal, coldKey, removed, hung, refusing } = ours
  return [
    {
      holds: removal.kind === 'done' && removal.result.same === 'new' && removal.result.other === 'new',
      line: 'what is removed while it is being loaded is not read later, by the same instance and by another',
    },
    {
      holds: coldKey.kind === 'done' && coldKey.result === 1,
      line: 'a cold key is loaded once by five instances',
    },
    {
      holds:
        removed.kind === 'done' &&
        [removed.result.many, removed.result.all].every((one) => one?.gone === REMOVED),
      line: `all of ${REMOVED} keys are gone after they were removed`,
    },
    {
      holds: hung.kind === 'done' && refusing.kind === 'done',
      line: 'a read-through is answered while the servers hang, and while they refuse',
    },
  ]
}
