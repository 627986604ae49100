import { median, quantile } from '../measuring/rates.js'
import { table } from '../measuring/table.js'
import type { Measured } from './hits.js'
import { BOUND_MS, type Probed, type Stale } from './probes.js'

const stale = (one: Stale | undefined): string => {
  if (one === undefined) return '–'
  if (one.kind === 'hung') return 'hangs'
  if (one.kind !== 'done') return `${one.kind}: ${one.why.slice(0, 40)}`
  return one.result === undefined ? `> ${BOUND_MS / 1000} s` : `${one.result.toFixed(0)} ms`
}

const tag = (one: Probed['tagDuringLoad']): string => {
  if (one === undefined) return '–'
  if (one.kind === 'hung') return 'hangs'
  if (one.kind !== 'done') return `${one.kind}: ${one.why.slice(0, 40)}`
  const { same, other, isStored } = one.result
  return `${same} / ${other}${isStored ? '' : ' (nothing stored)'}`
}

/** One line a library. */
export const probesTable = (probes: readonly Probed[]): string =>
  table([
    [
      '',
      'read after its tag',
      'another process serves what is outdated, its connection that tells',
      '',
      '',
      '',
    ],
    ['', 'changed during a load', 'well', 'cut', 'next change', 'half open'],
    ...probes.map(({ name, tagDuringLoad, well, killed, afterwards, halfOpen }) => [
      name,
      tag(tagDuringLoad),
      ...[well, killed, afterwards, halfOpen].map(stale),
    ]),
  ])

export const hitsTable = (hits: readonly Measured[]): string =>
  table([
    ['nanoseconds of a hit in the process', 'elapsed', 'of a processor'],
    ...hits.map(({ name, rounds }) => {
      const ns = rounds.map((round) => round.ns)
      const quartiles = [0.25, 0.75].map((q) => quantile(ns, q).toFixed(0)).join('–')
      return [
        name,
        `${median(ns).toFixed(0)} (${quartiles})`,
        median(rounds.map(({ cpuNs }) => cpuNs)).toFixed(0),
      ]
    }),
  ])
