import type { Outcome } from '../measuring/held.js'
import { median, quantile } from '../measuring/rates.js'
import { table } from '../measuring/table.js'
import { IN_FLIGHT } from './hits.js'
import { BOUND_MS, type Probed } from './probes.js'
import type { Speed } from './promises.js'
import type { Name } from './subjects.js'
import type { Hits, Removal } from './tasks.js'

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

/** Hits of everybody. */
export function hitsTable({ hits }: Speed): string {
  const names = hits.filter(({ inFlight }) => inFlight === 1).map(({ name }) => name)
  const rounds = (name: Name, inFlight: number) =>
    hits.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
  return table([
    ['thousands of hits a second', ...IN_FLIGHT.map((inFlight) => `${inFlight} in flight`)],
    ...names.map((name) => [name, ...IN_FLIGHT.map((inFlight) => cell(rounds(name, inFlight)))]),
  ])
}
