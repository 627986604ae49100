import { median, quantile } from '../measuring/rates.js'
import { table } from '../measuring/table.js'
import { CONTENDERS, type Crowd, HOLDS } from './crowd.js'
import { BOUND_MS, type Loss } from './loss.js'
import { EVERY_MS, LOCKS, type Many } from './many.js'
import { IN_FLIGHT, type Measured, type Round } from './speed.js'

/** Medians and quartiles over rounds. */
export function speedTable(where: string, measured: readonly Measured[]): string {
  const names = measured.filter(({ inFlight }) => inFlight === 1).map(({ name }) => name)
  const roundsOf = (name: string, inFlight: number): readonly Round[] =>
    measured.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
  const rate = (rounds: readonly Round[]): string => {
    const rates = rounds.map(({ perSecond }) => perSecond / 1000)
    const [low, middle, high] = [0.25, 0.5, 0.75].map((q) => quantile(rates, q).toFixed(1))
    return `${middle} (${low}–${high})`
  }
  const middle = (
    rounds: readonly Round[],
    of: 'serverUs' | 'commands' | 'bytesIn' | 'bytesOut',
    digits = 0,
  ) => median(rounds.map((one) => one[of])).toFixed(digits)
  return table([
    [
      `taken and given back, ${where}`,
      ...IN_FLIGHT.map((inFlight) => `thousands a second, ${inFlight} in flight`),
      ...IN_FLIGHT.map((inFlight) => `server µs, ${inFlight}`),
      'commands',
      'bytes in',
      'bytes out',
    ],
    ...names.map((name) => [
      name,
      ...IN_FLIGHT.map((inFlight) => rate(roundsOf(name, inFlight))),
      ...IN_FLIGHT.map((inFlight) => middle(roundsOf(name, inFlight), 'serverUs', 1)),
      middle(roundsOf(name, 1), 'commands', 1),
      middle(roundsOf(name, 1), 'bytesIn'),
      middle(roundsOf(name, 1), 'bytesOut'),
    ]),
  ])
}

export function crowdTables(crowds: readonly Crowd[]): readonly string[] {
  return HOLDS.map(({ holdMs }) =>
    table([
      [
        `${CONTENDERS} contenders, each holds it for ${holdMs} ms`,
        'hand-over p50',
        'p99',
        'longest wait',
        'in order',
        'commands for each',
        'server µs',
        'a second',
      ],
      ...crowds
        .filter((one) => one.holdMs === holdMs)
        .map(({ name, rounds }) => {
          const middle = (of: Exclude<keyof (typeof rounds)[number], 'handOvers'>): number =>
            median(rounds.map((one) => one[of]))
          return [
            name,
            `${middle('p50Ms').toFixed(1)} ms`,
            `${middle('p99Ms').toFixed(1)} ms`,
            `${(middle('longestMs') / 1000).toFixed(1)} s`,
            `${(100 * middle('inOrder')).toFixed(0)} %`,
            middle('commands').toFixed(1),
            middle('serverUs').toFixed(0),
            middle('perSecond').toFixed(0),
          ]
        }),
    ]),
  )
}

export const manyTable = (many: readonly Many[]): string =>
  table([
    [
      `${LOCKS} locks, each extended every ${EVERY_MS / 1000} s`,
      'of a processor',
      'commands a second',
      'server µs for each',
      'lost',
    ],
    ...many.map(({ name, cpu, perSecond, serverUs, lost }) => [
      name,
      `${(100 * cpu).toFixed(1)} %`,
      perSecond.toFixed(0),
      serverUs.toFixed(1),
      String(lost),
    ]),
  ])

export const lossTable = (losses: readonly Loss[]): string =>
  table([
    ['servers stop 200 ms after a lock of 1 s was taken', 'the holder is told, after its end'],
    ...losses.map(({ name, toldMs }) => {
      const [first, last] = [Math.min(...toldMs), Math.max(...toldMs)]
      const shown = (ms: number): string =>
        Number.isFinite(ms) ? `${ms.toFixed(0)} ms` : `not within ${BOUND_MS / 1000} s`
      return [name, first === last ? shown(first) : `${shown(first)} to ${shown(last)}`]
    }),
  ])
