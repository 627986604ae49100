import type { Finding } from '../measuring/findings.js'
import { median, ratioOf } from '../measuring/rates.js'
import { type Crowd, HOLDS } from './crowd.js'
import type { Loss } from './loss.js'
import type { Many } from './many.js'
import { IN_FLIGHT, type Measured, type Round } from './speed.js'
import { OURS } from './subjects.js'

const times = (ratio: number): string => `${ratio.toFixed(2)} ×`
const rates = ({ rounds }: Measured) => rounds.map(({ perSecond }) => perSecond)

/** What ours promises beside whoever is fastest, and where its time goes. */
export function speedFindings(where: string, measured: readonly Measured[]): readonly Finding[] {
  return IN_FLIGHT.flatMap((inFlight) => {
    const all = measured.filter((one) => one.inFlight === inFlight)
    const ours = all.find(({ name }) => name === OURS)
    const others = all.filter(({ name }) => name !== OURS)
    const [fastest] = others.toSorted((a, b) => median(rates(b)) - median(rates(a)))
    if (ours === undefined || fastest === undefined) return []
    const ratio = ratioOf(rates(ours), rates(fastest))
    return [
      {
        holds: ratio >= 0.8,
        line: `${where}, ${inFlight} in flight: ${times(ratio)} the fastest of the others, ${fastest.name}, and fenced (promised 0.8)`,
      },
      goes(where, ours),
      goes(where, fastest),
    ]
  })
}

function goes(where: string, { name, inFlight, rounds }: Measured): Finding {
  const middle = (of: (round: Round) => number): string => median(rounds.map(of)).toFixed(1)
  const inside = (round: Round): number => Object.values(round.inside).reduce((sum, { us }) => sum + us, 0)
  const names = Object.keys(rounds[0]?.inside ?? {}).filter(
    (one) => median(rounds.map((round) => round.inside[one]?.us ?? 0)) >= 0.1,
  )
  const each = names.map((one) => `${one} ${middle((round) => round.inside[one]?.us ?? 0)}`)
  return {
    line: `where the time goes, ${where}, ${inFlight} in flight, ${name}: ${middle((round) => round.clientUs)} µs of this process; ${middle((round) => round.serverUs)} of the servers, ${middle(inside)} of them in commands that scripts run (${each.join(', ')})`,
  }
}

export function crowdFindings(crowds: readonly Crowd[]): readonly Finding[] {
  return HOLDS.flatMap(({ holdMs }) => {
    const all = crowds.filter((one) => one.holdMs === holdMs)
    const commands = ({ rounds }: Crowd): number => median(rounds.map((one) => one.commands))
    const ours = all.find(({ name }) => name === OURS)
    const [best] = all.filter(({ name }) => name !== OURS).toSorted((a, b) => commands(a) - commands(b))
    if (ours === undefined || best === undefined) return []
    const ratio = commands(ours) / commands(best)
    return [
      {
        holds: ratio <= 0.2,
        line: `a hand-over of a lock that is held for ${holdMs} ms is ${commands(ours).toFixed(1)} commands, ${times(ratio)} the fewest of the others, ${commands(best).toFixed(1)} of ${best.name} (promised 0.20)`,
      },
      {
        holds: ours.rounds.every(({ inOrder }) => inOrder === 1),
        line: `${(100 * Math.min(...ours.rounds.map(({ inOrder }) => inOrder))).toFixed(1)} % of hand-overs to whoever had come first (promised 100)`,
      },
    ]
  })
}

export function lossFindings(losses: readonly Loss[]): readonly Finding[] {
  const ours = losses.find(({ name }) => name === OURS)
  const last = Math.max(...(ours?.toldMs ?? [Number.NaN]))
  const uncaught = losses[0]?.uncaught ?? []
  return [
    {
      holds: last <= 10,
      line: `a holder is told ${last.toFixed(0)} ms after the end of its lock, at the latest, while Redis hangs (promised 10)`,
    },
    ...(uncaught.length === 0
      ? []
      : [{ line: `${uncaught.length} errors meanwhile that nobody could catch, such as: ${uncaught[0]}` }]),
  ]
}

export function manyFindings(many: readonly Many[]): readonly Finding[] {
  const ours = many.find(({ name }) => name === OURS)
  return [{ holds: ours?.lost === 0, line: `${ours?.lost} locks lost that extended themselves (promised 0)` }]
}
