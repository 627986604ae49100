/**
 * Our locks beside others: taking and giving back what nobody else wants, on a cluster and on three nodes of their own; a lock
 * that many want; many that are held; and when a holder hears that Redis hangs.
 */

import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { CONTENDERS, measureCrowd } from './lock/crowd.js'
import { measureLoss } from './lock/loss.js'
import { LOCKS, measureMany } from './lock/many.js'
import { crowdFindings, lossFindings, manyFindings, speedFindings } from './lock/promises.js'
import { crowdTables, lossTable, manyTable, speedTable } from './lock/report.js'
import { placeIn, startThree } from './lock/servers.js'
import { measureSpeed } from './lock/speed.js'
import { LEFT_OUT } from './lock/subjects.js'
import { counts, optionsOf, progress, wanted } from './measuring/options.js'
import { type Result, tellInParts } from './measuring/parts.js'

const PARTS = ['slot', 'nodes', 'crowd', 'many', 'loss'] as const
type Part = (typeof PARTS)[number]

const HELP = `npm run bench -- lock [options]

Our locks beside others that are well known, on one cluster of six real nodes and on three servers of their own.

slot   Locks that nobody else wants, taken and given back, with 1 and 64 under way, on the cluster: how many a second, the
       time of the servers, commands and bytes.
nodes  The same by the majority of three servers.
crowd  One lock that ${CONTENDERS} contenders want all the time: how long a hand-over takes, to whom, and what it costs.
many   ${LOCKS} locks that extend themselves: processor and commands a second.
loss   When a holder is told that its lock is over, while Redis hangs.

  --only NAME   one of the parts
  --rounds N    rounds of slot and nodes, and half as many of crowd (7)
  --ms N        how long a round of slot and nodes lasts, in milliseconds (1000)
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
const place = () => placeIn(cluster, port)

const measurements: Record<Part, () => Promise<Result>> = {
  async slot() {
    const measured = await measureSpeed(place, { rounds, ms, progress })
    const where = 'one slot of a cluster'
    return { measured, tables: [speedTable(where, measured)], findings: speedFindings(where, measured) }
  },
  async nodes() {
    await using three = await startThree()
    const measured = await measureSpeed(() => three.place(), { rounds, ms, progress })
    const where = 'three nodes'
    return { measured, tables: [speedTable(where, measured)], findings: speedFindings(where, measured) }
  },
  async crowd() {
    const measured = await measureCrowd(place, { rounds: Math.ceil(rounds / 2), progress })
    return { measured, tables: crowdTables(measured), findings: crowdFindings(measured) }
  },
  async many() {
    const measured = await measureMany(place, progress)
    return { measured, tables: [manyTable(measured)], findings: manyFindings(measured) }
  },
  async loss() {
    progress('all servers stopped (SIGSTOP)')
    const measured = await measureLoss(cluster, place)
    return { measured, tables: [lossTable(measured)], findings: lossFindings(measured) }
  },
}

await tellInParts(PARTS, isWanted, measurements, {
  rounds,
  ms,
  json: values.json,
  version: cluster.version,
  leftOut: LEFT_OUT,
})
