import { median, quantile, ratioOf } from '../measuring/rates.js'
import type { Counted } from './counted.js'
import type { Outcome } from './held.js'
import { IN_FLIGHT, type Measured } from './hits.js'
import { type Hung, LOADER_MS } from './hung.js'
import type { Many, Round } from './many.js'
import { BOUND_MS, type Probed } from './probes.js'
import { type Name, OURS, PLAIN } from './subjects.js'
import type { Hits, Removal } from './tasks.js'

/** What was measured of speed. */
export interface Speed {
  readonly hits: readonly Measured[]
  readonly herd: readonly { readonly name: Name; readonly loads: number }[]
  readonly counted: Counted
  readonly many: Many
  readonly hung: Hung
  readonly memory: { readonly hash: number; readonly string: number; readonly json: number }
}

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n')
}

function told<R>(outcome: Outcome<R>, tell: (result: R) => string): string {
  if (outcome.kind === 'done') return tell(outcome.result)
  if (outcome.kind === 'hung') return `> ${BOUND_MS / 1000} s`
  return `${outcome.kind}: ${outcome.why.slice(0, 40)}`
}

const removal = (one: Removal): string =>
  one === undefined ? '–' : `${one.gone}${one.why === undefined ? '' : ' (rejects)'}`

/** One line a library. */
export function probesTable(probes: readonly Probed[]): string {
  const ms = (took: number) => `${took.toFixed(0)} ms`
  return table([
    ['', 'read after a delete', 'loads of', 'gone of 60, removed', 'read-through, servers', ''],
    ['', 'during a load: same / other', '1 cold key', 'by id / all', 'stopped', 'refusing'],
    ...probes.map(({ name, removeDuringLoad, coldKey, removed, hung, refusing }) => [
      name,
      told(removeDuringLoad, ({ same, other }) => `${same} / ${other}`),
      told(coldKey, String),
      told(removed, ({ many, all }) => `${removal(many)} / ${removal(all)}`),
      told(hung, ms),
      told(refusing, ms),
    ]),
  ])
}

const cell = (rounds: readonly Hits[]): string => {
  const k = (q: number) =>
    (
      quantile(
        rounds.map(({ perSecond }) => perSecond),
        q,
      ) / 1000
    ).toFixed(1)
  const cpu = median(rounds.map(({ cpuUs }) => cpuUs)).toFixed(1)
  const reads = rounds.reduce((sum, { loads }) => sum + loads, 0)
  return `${k(0.5)} (${k(0.25)}–${k(0.75)}), ${cpu} µs${reads > 0 ? `, ${reads} late` : ''}`
}

/** Hits of everybody, then what is promised of ours. */
export function speedReport({ hits, herd, counted, many, hung, memory }: Speed): string {
  const of = (name: Name, inFlight: number) =>
    hits.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
  const names = hits.filter(({ inFlight }) => inFlight === 1).map(({ name }) => name)
  const hitTable = table([
    ['thousands of hits a second', ...IN_FLIGHT.map((inFlight) => `${inFlight} in flight`)],
    ...names.map((name) => [name, ...IN_FLIGHT.map((inFlight) => cell(of(name, inFlight)))]),
  ])
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
  const verdict = (holds: boolean, line: string) => `${holds ? 'reached' : 'missed '}  ${line}`
  const same = (found: readonly string[], wanted: readonly string[]) => found.join() === wanted.join()
  const promises = [
    ...IN_FLIGHT.map((inFlight) => {
      const is = ratio(inFlight, 'perSecond')
      const cpu = ratio(inFlight, 'cpuUs').toFixed(2)
      const line = `${is.toFixed(2)} × the hits of ${PLAIN}, ${inFlight} in flight, at ${cpu} × its processor time`
      return inFlight === 64 ? verdict(is >= 0.9, `${line} (promised 0.9)`) : `         ${line}`
    }),
    verdict(same(counted.hit, ['HGET']), `a hit sends ${counted.hit.join(', ')}`),
    verdict(
      same(counted.miss.beforeValue, ['HGET', 'EVALSHA']) &&
        same(counted.miss.inAll, ['HGET', 'EVALSHA', 'EVALSHA']),
      `a miss sends ${counted.miss.beforeValue.join(', ')} before its loader runs, ${counted.miss.inAll.length} commands in all`,
    ),
    verdict(same(counted.invalidate, ['DEL']), `an invalidation sends ${counted.invalidate.join(', ')}`),
    verdict(
      toAll <= 1.3,
      `getMany of 100: ${median(many.ours.map((round) => round.ms)).toFixed(2)} ms, ${toAll.toFixed(2)} × pipelines by hand to all nodes at once (promised 1.3), at ${manyRatio(many.byHand, 'cpuMs').toFixed(2)} × their processor time; ${manyRatio(many.oneNode, 'ms').toFixed(2)} × the largest of them alone`,
    ),
    ...herd.map(({ name, loads }) =>
      (name === OURS ? (line: string) => verdict(loads === 1, line) : (line: string) => `         ${line}`)(
        `${loads} ${loads === 1 ? 'load' : 'loads'} for one cold key, 5 processes × 100 calls: ${name}`,
      ),
    ),
    verdict(
      hung.p99Ms <= 50 + LOADER_MS,
      `all primaries stopped: read-through p50 ${hung.p50Ms.toFixed(0)} ms, p99 ${hung.p99Ms.toFixed(0)} ms, at most ${hung.maxMs.toFixed(0)} ms, of which the loader ${LOADER_MS} ms (promised p99 50 + ${LOADER_MS})`,
    ),
    `         one entry takes ${memory.hash} bytes of Redis; its ${memory.json} bytes of JSON as a string, ${memory.string}`,
  ]
  return `${hitTable}\n\n${promises.join('\n')}`
}
