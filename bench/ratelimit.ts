/**
 * Our limiter beside others, on one real cluster of six nodes: what goes wrong with each (probes), what a decision costs
 * (speed, costs), what ours does without asking Redis (refusals), and what one tenant notices of another (isolation).
 */

import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { counts, optionsOf, progress, wanted } from './measuring/options.js'
import { type Result, tellInParts } from './measuring/parts.js'
import { measureCosts } from './ratelimit/costs.js'
import { measureLease, measureRefusals } from './ratelimit/hot.js'
import { measureIsolation } from './ratelimit/isolation.js'
import { probe } from './ratelimit/probes.js'
import {
  costFindings,
  isolationFindings,
  leaseFindings,
  probeFindings,
  refusalFindings,
  speedFindings,
} from './ratelimit/promises.js'
import { costsTable, hungTable, probesTable, speedTable } from './ratelimit/report.js'
import { measureSpeed } from './ratelimit/speed.js'

const PARTS = ['probes', 'speed', 'costs', 'lease', 'refusals', 'isolation'] as const
type Part = (typeof PARTS)[number]

const HELP = `npm run bench -- ratelimit [options]

Our limiter beside others that are well known, on one cluster of six real nodes.

probes     What a refusal takes, what other limits lose to it, windows below a second, what gets through at the edges of
           windows, whose clock counts, how long a decision takes while Redis hangs.
speed      Decisions a second with 1 and 64 under way, and the time of the servers for each, in turns.
costs      Commands, bytes on the wire and bytes of memory for a decision.
lease      Admissions of one hot subject by leases, beside exact decisions.
refusals   Refusals of one subject from this process, beside those that are asked of Redis.
isolation  A tenant at 100 requests a second, alone and beside one that offers 10,000 and is refused.

  --only NAME   one of the parts
  --rounds N    rounds of each (7)
  --ms N        how long a round lasts, in milliseconds (1000); of isolation five times as long
  --json        everything that was measured, for machines

Exit code: 0 all that is promised was reached, 1 something was missed.
`

const values = optionsOf(HELP, {
  only: { type: 'string' },
  rounds: { type: 'string', default: '7' },
  ms: { type: 'string', default: '1000' },
})
const isWanted = wanted(values.only, PARTS)
const [rounds, ms] = counts(values.rounds, values.ms)

await using cluster = await startLocalCluster({ onProgress: progress })
await using port = await connect({ ...cluster.connectOptions, namespace: 'bench' })

const measurements: Record<Part, () => Promise<Result>> = {
  async probes() {
    const measured = await probe(cluster, progress)
    return {
      measured,
      tables: [probesTable(measured), hungTable(measured)],
      findings: probeFindings(measured),
    }
  },
  async speed() {
    const measured = await measureSpeed(cluster, port, { rounds, ms, progress })
    return { measured, tables: [speedTable(measured)], findings: speedFindings(measured) }
  },
  async costs() {
    progress('counting commands and bytes')
    const measured = await measureCosts(cluster, port)
    return { measured, tables: [costsTable(measured)], findings: costFindings(measured) }
  },
  async lease() {
    progress('one hot subject, exact and by leases')
    const measured = await measureLease(cluster, rounds, ms)
    return { measured, tables: [], findings: leaseFindings(measured) }
  },
  async refusals() {
    progress('refusing one subject over and over')
    const measured = await measureRefusals(cluster, rounds, ms)
    return { measured, tables: [], findings: refusalFindings(measured) }
  },
  async isolation() {
    progress('one tenant beside another')
    const measured = await measureIsolation(cluster, rounds, 5 * ms)
    return { measured, tables: [], findings: isolationFindings(measured) }
  },
}

await tellInParts(PARTS, isWanted, measurements, {
  rounds,
  ms,
  json: values.json,
  version: cluster.version,
})
