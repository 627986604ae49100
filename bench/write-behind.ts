/**
 * Changes of rows that are accepted at once and written to Postgres later, beside rows that are written one by one and a queue
 * whose worker writes batches: one cluster of six nodes and one Postgres that forces its writes to the disk.
 */

import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { exitCodeOf, type Finding, told } from './measuring/findings.js'
import { machine, machineLine } from './measuring/machine.js'
import { counts, optionsOf, progress, wanted } from './measuring/options.js'
import { median, ratioOf } from './measuring/rates.js'
import { hasTraces, traceOf } from './measuring/traces.js'
import { openDatabase } from './write-behind/database.js'
import {
  measureAccepting,
  measureFlushing,
  measureLag,
  measureMemory,
  measureSkew,
} from './write-behind/measure.js'

const PARTS = ['accepting', 'flushing', 'lag', 'memory', 'skew'] as const
type Part = (typeof PARTS)[number]

const HELP = `npm run bench -- write-behind [options]

accepting  Changes a second with 64 under way: accepted by us, added to a BullMQ queue, written to Postgres one by one.
flushing   Rows a second from our journals to Postgres, beside plain statements of the best size, as many at once as is best.
lag        How long changes wait with half of what can be accepted and written at the same time.
memory     Bytes of Redis for each change that waits.
skew       Rows written for the changes of a recorded trace, in which few ids come often. Needs the file; without it this is
           left out, and said.

  --only NAME    one of the parts
  --data DIR     holds traces/cache2k-web12.trace.gz and -web07 (or SLOTWISE_DATA)
  --rounds N     rounds of each (5)
  --ms N         how long a round of accepting lasts, in milliseconds (2000)
  --rows N       so many rows are flushed (50000)
  --json         everything that was measured, for machines

Exit code: 0 all that is promised was reached, 1 something was missed.
`

const values = optionsOf(HELP, {
  only: { type: 'string' },
  data: { type: 'string' },
  rounds: { type: 'string', default: '5' },
  ms: { type: 'string', default: '2000' },
  rows: { type: 'string', default: '50000' },
})
const { only, data = process.env['SLOTWISE_DATA'] } = values
const isWanted = wanted(only, PARTS)
const [rounds, ms, rows] = counts(values.rounds, values.ms, values.rows)

const whole = (n: number) => Math.round(n).toLocaleString('en')
const times = (n: number) => n.toFixed(n < 10 ? 2 : 1)

const FLUSH_INTERVAL_MS = 1000
const LAG_MS = 10_000
const MEMORY_ROWS = 20_000

const onMachine = machine()
await using cluster = await startLocalCluster({ onProgress: progress })
await using database = await openDatabase(progress)
const { pool } = database
await using port = await connect({
  ...cluster.connectOptions,
  namespace: 'bench',
  commandTimeoutMs: 10_000,
})
const stand = { cluster, port, pool, progress }

interface Result {
  readonly measured: unknown
  readonly findings: readonly Finding[]
}

const measurements: Record<Part, () => Promise<Result>> = {
  async accepting() {
    progress(`accepting, ${rounds} rounds`)
    const measured = await measureAccepting(stand, rounds, ms)
    const { accepted, byThree, queued, oneByOne } = measured
    const [toOne, toQueue] = [ratioOf(accepted, oneByOne), ratioOf(accepted, queued)]
    return {
      measured,
      findings: [
        {
          holds: toOne >= 20,
          line: `${whole(median(accepted))} changes a second accepted with 64 under way, ${times(toOne)} × rows written one by one (${whole(median(oneByOne))}; promised 20)`,
        },
        {
          holds: toQueue >= 3,
          line: `${times(toQueue)} × changes added to a BullMQ queue (${whole(median(queued))}; promised 3)`,
        },
        {
          line: `${times(ratioOf(byThree, queued))} × the queue with one partition for each primary (${whole(median(byThree))})`,
        },
      ],
    }
  },
  async flushing() {
    const measured = await measureFlushing(stand, rounds, rows)
    const { best, flushed, batched } = measured
    const ratio = ratioOf(flushed, batched)
    return {
      measured,
      findings: [
        {
          holds: ratio >= 0.7,
          line: `${whole(median(flushed))} rows a second flushed, ${times(ratio)} × plain statements of ${best.size} rows, ${best.writers} at once (${whole(median(batched))}; promised 0.7)`,
        },
      ],
    }
  },
  async lag() {
    progress(`lag, for ${(2 * LAG_MS) / 1000} s`)
    const measured = await measureLag(stand, LAG_MS, FLUSH_INTERVAL_MS)
    const { peak, perSecond, p50, p99 } = measured
    return {
      measured,
      findings: [
        {
          holds: p99 <= 2 * FLUSH_INTERVAL_MS,
          line: `lag ${whole(p50)} ms in the median, ${whole(p99)} ms p99 at ${whole(perSecond)} changes a second, half of ${whole(peak)} (promised ${2 * FLUSH_INTERVAL_MS})`,
        },
      ],
    }
  },
  async memory() {
    progress('memory')
    const measured = await measureMemory(stand, MEMORY_ROWS)
    const { value, different, same } = measured
    return {
      measured,
      findings: [
        {
          line: `${whole(different)} bytes of Redis for each change that waits, of rows of ${value} bytes; ${whole(same)} where they are changes of the same ten rows`,
        },
      ],
    }
  },
  async skew() {
    if (data === undefined || !hasTraces(data)) {
      return {
        measured: undefined,
        findings: [{ line: 'no trace was replayed: there is none in --data or SLOTWISE_DATA' }],
      }
    }
    progress('replaying web12')
    const measured = await measureSkew(stand, traceOf(data, 'web12'))
    const { accepted, ids, rows: written, perSecond } = measured
    return {
      measured,
      findings: [
        {
          line: `web12: ${whole(written)} rows written for ${whole(accepted)} changes of ${whole(ids)} ids, ${times(written / accepted)} × (${whole(perSecond)} changes a second, flushed meanwhile)`,
        },
      ],
    }
  },
}

const results: (Result & { readonly part: Part })[] = []
for (const part of PARTS) {
  if (isWanted(part)) results.push({ part, ...(await measurements[part]()) })
}
const { rows: versions } = await pool.query<{ server_version: string }>('show server_version')
const measuredOn = {
  ...onMachine(),
  redis: cluster.version,
  postgres: versions[0]?.server_version ?? 'unknown',
}
const findings = results.flatMap((result) => result.findings)
if (values.json) console.log(JSON.stringify({ machine: measuredOn, rounds, ms, rows, results }, null, 2))
else {
  console.log(
    `${machineLine(measuredOn, `Redis ${cluster.version}, Postgres ${measuredOn.postgres}`)}\n\n${told(findings)}`,
  )
}
process.exitCode = exitCodeOf(findings)
