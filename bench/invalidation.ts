/**
 * Levels in the process and what keeps them from serving what is outdated: ours beside others, on one real six-node
 * cluster. Each is used with two levels and its own way of telling other processes, as its authors recommend.
 */

import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { measureCost } from './invalidation/cost.js'
import { measureHits } from './invalidation/hits.js'
import { probe } from './invalidation/probes.js'
import {
  costFindings,
  hitFindings,
  probeFindings,
  tagFindings,
  traceFindings,
} from './invalidation/promises.js'
import { hitsTable, probesTable } from './invalidation/report.js'
import { measureBorne, measureTagged } from './invalidation/tags.js'
import { replay, share } from './invalidation/trace.js'
import { exitCodeOf, type Finding, told } from './measuring/findings.js'
import { machine, machineLine } from './measuring/machine.js'
import { counts, optionsOf, progress, refuse, wanted } from './measuring/options.js'
import { hasTraces } from './measuring/traces.js'

const PARTS = ['probes', 'hits', 'tags', 'cost', 'traces'] as const
type Part = (typeof PARTS)[number]

const HELP = `npm run bench -- invalidation [options]

Levels in the process, ours beside others, on one cluster of six real nodes.

probes  What is read after its tag changed during its load. How long another process serves what is outdated while all is
        well, after the connection that tells it was cut and one change was missed, and while that connection is half open.
hits    What a hit in the process takes, in turns with BentoCache's.
tags    What each tag adds to it. What it takes to invalidate a tag that 1,000 and a million entries bear.
cost    Commands and bytes that it costs each primary, by the servers' own counts.
traces  Two recorded traces of a web shop: hits beside those of a plain LRU and the best possible; one of them shared by
        1, 2 and 5 processes, beside Redis alone. Needs the files; without them this is left out, and said.

  --only NAME   one of the parts
  --data DIR    holds traces/cache2k-web12.trace.gz and -web07 (or SLOTWISE_DATA)
  --entries N   so many bear the tag that many bear (1000000); a million takes about 300 MB of Redis, twice
  --rounds N    rounds of each (7)
  --ms N        how long a round lasts, in milliseconds (500)
  --json        everything that was measured, for machines

Exit code: 0 all that is promised was reached, 1 something was missed.
`

const values = optionsOf(HELP, {
  only: { type: 'string' },
  data: { type: 'string' },
  entries: { type: 'string', default: '1000000' },
  rounds: { type: 'string', default: '7' },
  ms: { type: 'string', default: '500' },
})
const { only, data = process.env['SLOTWISE_DATA'] } = values
const isWanted = wanted(only, PARTS)
const [entries, rounds, ms] = counts(values.entries, values.rounds, values.ms)
if (values.data !== undefined && !hasTraces(values.data)) refuse(`There are no traces in ${values.data}.`)

interface Result {
  readonly part: Part
  readonly table?: string
  readonly findings: readonly Finding[]
  readonly measured: unknown
}

await using cluster = await startLocalCluster({ onProgress: progress })
const onMachine = machine()
await using port = await connect({ ...cluster.connectOptions, namespace: 'bench' })

const measurements: Record<Part, () => Promise<Omit<Result, 'part'>>> = {
  async probes() {
    const probes = await probe({ cluster, progress })
    return { measured: probes, table: probesTable(probes), findings: probeFindings(probes) }
  },
  async hits() {
    progress(`hits in the process, ${rounds} rounds`)
    const hits = await measureHits(cluster, { rounds, ms })
    return { measured: hits, table: hitsTable(hits), findings: hitFindings(hits) }
  },
  async tags() {
    progress('what each tag adds to a hit')
    const tagged = await measureTagged(cluster, port, { rounds, ms })
    progress(`writing ${entries} entries that bear one tag`)
    const borne = await measureBorne(cluster, port, [1000, entries])
    return { measured: { tagged, borne }, findings: tagFindings(tagged, borne) }
  },
  async cost() {
    progress('what it costs the servers')
    const costs = await measureCost(cluster, port)
    return { measured: costs, findings: costFindings(costs) }
  },
  async traces() {
    if (data === undefined || !hasTraces(data)) {
      const line = 'no traces were replayed: there are none in --data or SLOTWISE_DATA'
      return { measured: undefined, findings: [{ line }] }
    }
    const shared = await share(cluster, data, progress)
    const replayed = await replay(cluster, port, data, progress)
    return { measured: { replayed, shared }, findings: traceFindings(replayed, shared) }
  },
}

const results: Result[] = []
for (const part of PARTS) {
  if (isWanted(part)) results.push({ part, ...(await measurements[part]()) })
}
const measuredOn = { ...onMachine(), redis: cluster.version }
if (values.json) console.log(JSON.stringify({ machine: measuredOn, rounds, ms, results }, null, 2))
else {
  console.log(machineLine(measuredOn, `Redis ${cluster.version}`))
  for (const { table, findings } of results) {
    console.log(`\n${table === undefined ? '' : `${table}\n\n`}${told(findings)}`)
  }
}
process.exitCode = exitCodeOf(results.flatMap(({ findings }) => findings))
// All of ours is closed by then. Node 20 may spin in its own clean-up for good after connections that were half open.
process.once('exit', () => process.exit())
