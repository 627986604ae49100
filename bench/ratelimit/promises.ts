import type { Finding } from '../measuring/findings.js'
import { median, quantile, ratioOf } from '../measuring/rates.js'
import type { Cost } from './costs.js'
import { ASKING, LEASE_MS, type Leasing, type Refusing } from './hot.js'
import type { Isolation, Stretch } from './isolation.js'
import { EDGE, type Probes, SHORT_MS } from './probes.js'
import type { Measured } from './speed.js'
import { isOurs, SINGLE, THREE, UNION } from './subjects.js'

const times = (ratio: number): string => `${ratio.toFixed(ratio < 10 ? 2 : 0)} ×`

/** What ours promises of what goes wrong with limits, and what becomes of one whose scripts Redis does not take. */
export function probeFindings({ each, unions, hung, upstash }: Probes): readonly Finding[] {
  const ours = each.filter(({ name }) => isOurs(name))
  const strict = ours.find(({ name }) => name.includes('strict'))?.atEdges ?? Number.NaN
  const lost = unions.find(({ name }) => name === THREE)?.lost ?? Number.NaN
  const asked = hung.find(({ name }) => isOurs(name))?.ms ?? Number.NaN
  const shortest = Math.max(...ours.map(({ shortWindowMs }) => shortWindowMs))
  return [
    {
      holds: ours.every(({ leftAfterRefusal }) => leftAfterRefusal === true) && lost === 1,
      line: `a refusal takes nothing, and nothing of other limits: they lost ${lost} for 1 admitted and 20 refused (promised 1)`,
    },
    {
      // An estimate has something of the window before in it until the end of the next.
      holds: shortest <= 2 * SHORT_MS,
      line: `a window of ${SHORT_MS} ms gives again after ${shortest.toFixed(0)} ms at most (promised ${2 * SHORT_MS}, of an estimate)`,
    },
    {
      holds: strict <= EDGE.limit,
      line: `${strict} in one window of a strict limit of ${EDGE.limit} (promised ${EDGE.limit})`,
    },
    {
      holds: ours.every(({ aheadAdmitted }) => !aheadAdmitted),
      line: 'a process whose clock is ahead is given nothing for it',
    },
    { holds: asked <= 100, line: `${asked.toFixed(0)} ms for a decision while Redis hangs (deadline 50 ms)` },
    { line: `@upstash/ratelimit as it is published, on a cluster: ${upstash.published}` },
    { line: `the same with its keys in one slot: ${upstash.tagged}; measured without that line` },
  ]
}

export function speedFindings(measured: readonly Measured[]): readonly Finding[] {
  const rounds = (name: string, inFlight: number) =>
    measured.find((one) => one.name === name && one.inFlight === inFlight)?.rounds ?? []
  const ratio = (ours: string, theirs: string, inFlight: number) =>
    ratioOf(
      rounds(ours, inFlight).map(({ perSecond }) => perSecond),
      rounds(theirs, inFlight).map(({ perSecond }) => perSecond),
    )
  const of = (name: string, inFlight: number, field: 'serverUs' | 'insideUs' | 'clientUs') =>
    median(rounds(name, inFlight).map((round) => round[field])).toFixed(1)
  const us = (name: string, inFlight: number) => of(name, inFlight, 'serverUs')
  const against = (theirs: string, what: string, least: Readonly<Record<number, number>>) =>
    [64, 1].map((inFlight): Finding => {
      const reached = ratio(THREE, theirs, inFlight)
      return {
        holds: reached >= (least[inFlight] ?? 0),
        line: `three tiers, ${inFlight} in flight: ${times(reached)} ${what} (promised ${least[inFlight]}); ${us(THREE, inFlight)} µs of the server beside ${us(theirs, inFlight)}`,
      }
    })
  const scripts = rounds(THREE, 64).map((round) => round.scripts)
  const single = 'slotwise, estimate'
  return [
    ...against(UNION, 'three calls of rate-limiter-flexible', { 64: 2.5, 1: 1 }),
    ...against(SINGLE, 'a single call of it', { 64: 0.76, 1: 0.67 }),
    ...[64, 1].map(
      (inFlight): Finding => ({
        line: `one tier, ${inFlight} in flight: ${times(ratio(single, SINGLE, inFlight))} a single call of rate-limiter-flexible; ${us(single, inFlight)} µs of the server beside ${us(SINGLE, inFlight)}`,
      }),
    ),
    ...[THREE, UNION, SINGLE].map(
      (name): Finding => ({
        line: `where the time goes, ${name}, 64 in flight: ${of(name, 64, 'clientUs')} µs of this process; ${us(name, 64)} of the servers, ${of(name, 64, 'insideUs')} of them in commands that scripts run`,
      }),
    ),
    {
      // A script that a server does not know yet is sent twice.
      holds: Math.max(...scripts) < 1.01,
      line: `${median(scripts).toFixed(2)} commands a decision under load (promised 1)`,
    },
  ]
}

export function costFindings(costs: readonly Cost[]): readonly Finding[] {
  const ours = costs.find(({ name }) => name === THREE)
  if (ours === undefined) return []
  const { commands, bytesIn, memory = Number.NaN, keyBytes } = ours
  const key = `with a key of ${keyBytes}`
  return [
    {
      holds: commands.length === 1,
      line: `three tiers are ${commands.length} command a decision, ${commands.join(', ')} (promised 1)`,
    },
    { holds: bytesIn <= 200, line: `three tiers send ${bytesIn} bytes a decision ${key} (promised 200)` },
    { holds: memory <= 140, line: `three tiers take ${memory} bytes of memory ${key} (promised 140)` },
  ]
}

const rate = (some: readonly number[]): string => Math.round(median(some)).toLocaleString('en')

export function leaseFindings({ exact, leased, share }: Leasing): readonly Finding[] {
  const ratio = ratioOf(leased, exact)
  return [
    {
      holds: ratio >= 20,
      line: `three tiers of one hot subject by leases of ${LEASE_MS} ms, ${ASKING} in flight: ${times(ratio)} exact decisions (promised 20); ${rate(leased)} a second beside ${rate(exact)}, ${(100 * share).toFixed(1)} % of them from leases`,
    },
  ]
}

export const refusalFindings = (refusing: readonly Refusing[]): readonly Finding[] =>
  refusing.map(({ inFlight, asked, remembered }) => {
    const ratio = ratioOf(remembered, asked)
    const line = `refusals from this process, ${inFlight} in flight: ${times(ratio)} those asked of Redis`
    const rates = `${rate(remembered)} a second beside ${rate(asked)}`
    // With many under way Redis answers many in the time of one, which makes this process no slower.
    if (inFlight > 1) return { line: `${line}; ${rates}` }
    return { holds: ratio >= 100, line: `${line} (promised 100); ${rates}` }
  })

export function isolationFindings({ alone, beside, besideAsking }: Isolation): readonly Finding[] {
  const p99s = (stretches: readonly Stretch[]) => stretches.map(({ p99Ms }) => p99Ms)
  const wrong = [...alone, ...beside, ...besideAsking].reduce((sum, stretch) => sum + stretch.wrong, 0)
  const decisions = [...beside, ...besideAsking].reduce((sum, stretch) => sum + stretch.decisions, 0)
  const told = (stretches: readonly Stretch[], whose: string): string => {
    const sums = stretches.flatMap(({ noisy }) => noisy ?? [])
    const share = (of: 'refused' | 'failed') =>
      `${((100 * sums.reduce((sum, one) => sum + one[of], 0)) / sums.reduce((sum, one) => sum + one.offered, 0)).toFixed(1)} %`
    const p99 = quantile(p99s(stretches), 0.5).toFixed(2)
    const offered = rate(sums.map(({ perSecond }) => perSecond))
    const own = rate(stretches.map(({ perSecond }) => perSecond))
    return `p99 of a tenant at 100 a second, ${whose}: ${times(ratioOf(p99s(stretches), p99s(alone)))} what it is alone (${p99} ms beside ${median(p99s(alone)).toFixed(2)}); offered were ${own} and ${offered} a second; of the other's, ${share('refused')} refused, ${share('failed')} failed`
  }
  return [
    {
      holds: wrong === 0,
      line: `${wrong} of ${decisions} decisions of a tenant changed by another one (promised 0)`,
    },
    {
      holds: ratioOf(p99s(beside), p99s(alone)) <= 1.2,
      line: `${told(beside, 'beside 10,000 a second whose refusals are remembered')} (promised 1.2)`,
    },
    { line: told(besideAsking, 'beside 10,000 a second that are all asked of Redis') },
  ]
}
