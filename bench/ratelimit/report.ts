import { median, quantile } from '../measuring/rates.js'
import { table } from '../measuring/table.js'
import type { Cost } from './costs.js'
import { BOUND_MS, EDGE, type Probes, SHORT_MS } from './probes.js'
import { IN_FLIGHT, type Measured } from './speed.js'

/** One line a library. */
export function probesTable({ each, unions }: Probes): string {
  const lost = new Map(unions.map((union) => [union.name, union.lost]))
  const rows = each.map(({ name, leftAfterRefusal, shortWindowMs, atEdges, aheadAdmitted }) => [
    name,
    leftAfterRefusal === undefined ? '–' : leftAfterRefusal ? 'there' : 'gone',
    Number.isFinite(shortWindowMs) ? `${shortWindowMs.toFixed(0)} ms` : 'never',
    String(atEdges),
    aheadAdmitted ? 'admitted' : 'refused',
  ])
  return [
    table([
      ['', 'what a refusal', `again after a`, `most in ${EDGE.windowMs / 1000} s,`, 'process a window'],
      ['', 'left over', `window of ${SHORT_MS} ms`, `limit ${EDGE.limit}`, 'ahead'],
      ...rows,
    ]),
    table([
      ['of three limits, the first refused 20 times', 'lost of the second'],
      ...[...lost].map(([name, count]) => [name, String(count)]),
    ]),
  ].join('\n\n')
}

export const hungTable = ({ hung }: Probes): string =>
  table([
    ['servers stopped', 'answered after', ''],
    ...hung.map(({ name, ms, outcome }) => [
      name,
      outcome === 'nothing' ? `> ${BOUND_MS / 1000} s` : `${ms.toFixed(0)} ms`,
      outcome === 'nothing' ? '' : outcome,
    ]),
  ])

/** Medians and quartiles over rounds. */
export function speedTable(measured: readonly Measured[]): string {
  const names = measured.filter(({ inFlight }) => inFlight === 1)
  const cell = (name: string, inFlight: number): string => {
    const rounds = measured.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
    const rates = rounds.map(({ perSecond }) => perSecond / 1000)
    const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => quantile(rates, q).toFixed(1))
    const us = median(rounds.map(({ serverUs }) => serverUs)).toFixed(1)
    return `${middle} (${low}–${high}), ${us} µs`
  }
  return table([
    [
      'thousands of decisions a second, server time of each',
      'limits',
      ...IN_FLIGHT.map((inFlight) => `${inFlight} in flight`),
    ],
    ...names.map(({ name, limits }) => [
      name,
      String(limits),
      ...IN_FLIGHT.map((inFlight) => cell(name, inFlight)),
    ]),
  ])
}

export const costsTable = (costs: readonly Cost[]): string =>
  table([
    ['for one decision', 'limits', 'commands', 'bytes in', 'bytes out', 'bytes of memory'],
    ...costs.map(({ name, limits, commands, bytesIn, bytesOut, memory }) => [
      name,
      String(limits),
      String(commands.length),
      String(bytesIn),
      String(bytesOut),
      memory === undefined ? '–' : String(memory),
    ]),
  ])
