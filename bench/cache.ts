/**
 * Our cache beside the others, on one real six-node cluster: what goes wrong with each (probes), and what it costs
 * (speed). Each is used as its authors recommend, with Redis as its only level.
 */

import { connect } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { countCommands, measureMemory } from './cache/counted.js'
import { measureHerd, measureHits } from './cache/hits.js'
import { measureHung } from './cache/hung.js'
import { measureMany } from './cache/many.js'
import { probe } from './cache/probes.js'
import { probeFindings, type Speed, speedFindings } from './cache/promises.js'
import { hitsTable, probesTable } from './cache/report.js'
import { type Name, OURS, OURS_STALE, PEERS, PIPELINING, PLAIN } from './cache/subjects.js'
import { exitCodeOf, told } from './measuring/findings.js'
import { machine, machineLine } from './measuring/machine.js'
import { counts, optionsOf, progress, wanted } from './measuring/options.js'

const HELP = `npm run bench -- cache [options]

Our cache beside others that are well known, on one cluster of six real nodes.

Probes: what is read after a delete during a load; loads of a cold key by five instances; keys of 60, over all
slots, that are gone after they were removed; how long a read-through takes while Redis hangs or refuses.
Speed: hits a second beside GETs by hand, medians (quartiles) over rounds in turns, the processor time that the
client takes for each, and reads that were late and loaded; commands counted; many keys; Redis hung; memory.

  --only NAME   probes or speed
  --rounds N    rounds of each (7)
  --ms N        how long a round lasts, in milliseconds (700)
  --json        everything that was measured, for machines

Exit code: 0 all that is promised was reached, 1 something was missed.
`

const values = optionsOf(HELP, {
  only: { type: 'string' },
  rounds: { type: 'string', default: '7' },
  ms: { type: 'string', default: '700' },
})
const isWanted = wanted(values.only, ['probes', 'speed'])
const [rounds, ms] = counts(values.rounds, values.ms)

await using cluster = await startLocalCluster({ onProgress: progress })
const onMachine = machine()
const probes = isWanted('probes') ? await probe({ cluster, progress }) : undefined
const speed = isWanted('speed') ? await measureSpeed() : undefined
const measuredOn = { ...onMachine(), redis: cluster.version }
const promised = {
  probes: probes === undefined ? [] : probeFindings(probes),
  speed: speed === undefined ? [] : speedFindings(speed),
}
if (values.json)
  console.log(JSON.stringify({ machine: measuredOn, rounds, ms, probes, speed, promised }, null, 2))
else {
  console.log(`${machineLine(measuredOn, `Redis ${cluster.version}`)}\n`)
  if (probes !== undefined) console.log(`${probesTable(probes)}\n\n${told(promised.probes)}\n`)
  if (speed !== undefined) console.log(`${hitsTable(speed)}\n\n${told(promised.speed)}`)
}
process.exitCode = exitCodeOf([...promised.probes, ...promised.speed])

async function measureSpeed(): Promise<Speed> {
  const names: readonly Name[] = [OURS, OURS_STALE, PLAIN, PIPELINING, ...PEERS]
  const hits = await measureHits(cluster, names, { rounds, ms, progress })
  const herd: { name: Name; loads: number }[] = []
  for (const name of [OURS, ...PEERS]) {
    progress(`one cold key, five processes of ${name}`)
    herd.push({ name, loads: await measureHerd(cluster, name) })
  }
  await using port = await connect({ ...cluster.connectOptions, namespace: 'bench' })
  progress('counting commands')
  const counted = await countCommands(cluster, port)
  const memory = await measureMemory(cluster, port)
  progress('many at once')
  const many = await measureMany(cluster, port, rounds)
  progress('all primaries stopped (SIGSTOP)')
  return { hits, herd, counted, memory, many, hung: await measureHung(cluster, port) }
}
