/**
 * The port beside the client libraries that it stands on: GET, SET and EVALSHA on a six-node cluster, 1, 64 and 512
 * calls in flight, deadlines on where the library has them.
 */

import { createHash } from 'node:crypto'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { connect as connectIoredis } from 'slotwise/ioredis'
import { startLocalCluster } from 'slotwise/local'
import { connect as connectNodeRedis } from 'slotwise/node-redis'
import { type Key, keyOf, type RedisPort, type ScriptCall } from 'slotwise/redis'
import { exitCodeOf, type Finding, told } from './measuring/findings.js'
import { optionsOf } from './measuring/options.js'
import { median, quantile, rateOf } from './measuring/rates.js'

const HELP = `npm run bench -- client [--rounds 7] [--ms 700] [--only NAME] [--json]

Calls a second of ioredis, node-redis and the port over each, in turns on one cluster: medians over the rounds, their
spread, and the ratios that are promised. --only keeps the subjects whose name holds NAME. Exit code: 0 all that is promised
was reached, 1 something was missed.`

const options = optionsOf(HELP, {
  rounds: { type: 'string', default: '7' },
  ms: { type: 'string', default: '700' },
  only: { type: 'string' },
})

const KEYS = 1000
const VALUE = 'x'.repeat(100)
const TIMEOUT_MS = 3000
const SOURCE = "return redis.call('GET', KEYS[1])"
const SHA1 = createHash('sha1').update(SOURCE).digest('hex')

/** One way to make the calls; each takes the number of a key. */
interface Subject {
  readonly name: string
  readonly get: (i: number) => Promise<unknown>
  readonly set: (i: number) => Promise<unknown>
  readonly evalsha: (i: number) => Promise<unknown>
  readonly close: () => Promise<unknown>
}

const keys: readonly Key[] = Array.from({ length: KEYS }, (_, i) =>
  keyOf({ namespace: 'bench', pattern: 'client', name: 'keys' }, [i]),
)
const keyAt = (i: number): Key => keys[i % KEYS] ?? ('' as Key)

const cluster = await startLocalCluster({ onProgress: (step) => console.error(`  ${step}`) })
const nodes = cluster.connectOptions.nodes
const roots = nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))

async function port(name: string, open: () => Promise<RedisPort>): Promise<Subject> {
  const redis = await open()
  const scripts: readonly ScriptCall[] = keys.map((key) => ({
    script: { name: 'get', keys: ['key'], args: [], sha1: SHA1, source: SOURCE },
    keys: [key],
    args: [],
  }))
  const first = scripts.at(0)
  if (first === undefined) throw new Error('no keys')
  return {
    name,
    get: (i) => redis.call({ key: keyAt(i), command: ['GET', keyAt(i)], repeat: 'safe' }),
    set: (i) => redis.call({ key: keyAt(i), command: ['SET', keyAt(i), VALUE], repeat: 'safe' }),
    evalsha: (i) => redis.call(scripts[i % KEYS] ?? first),
    close: () => redis.close(),
  }
}

async function ioredis(name: string, settings: object, autopipelining: boolean): Promise<Subject> {
  const client = new Cluster(roots, {
    slotsRefreshInterval: 1000,
    enableAutoPipelining: autopipelining,
    redisOptions: { ...settings, autoResendUnfulfilledCommands: false },
  })
  client.on('error', () => {})
  await new Promise<void>((resolve) => client.once('ready', () => resolve()))
  return {
    name,
    get: (i) => client.get(keyAt(i)),
    set: (i) => client.set(keyAt(i), VALUE),
    evalsha: (i) => client.evalsha(SHA1, 1, keyAt(i)),
    close: async () => client.disconnect(),
  }
}

/** Without a time-out if that is 0; left out, it is five seconds. */
async function nodeRedis(name: string, timeout: number): Promise<Subject> {
  const client = createCluster({
    rootNodes: roots.map((socket) => ({ socket })),
    // Among the `defaults` of its clients a cluster would take it away.
    commandOptions: { timeout },
  })
  client.on('error', () => {})
  await client.connect()
  return {
    name,
    get: (i) => client.get(keyAt(i)),
    set: (i) => client.set(keyAt(i), VALUE),
    evalsha: (i) => client.evalSha(SHA1, { keys: [keyAt(i)] }),
    close: () => client.close(),
  }
}

const OURS_I = 'ours over ioredis'
const OURS_N = 'ours over node-redis'
const IOREDIS = 'ioredis, commandTimeout'
const PROMISES: readonly (readonly [
  ours: string,
  others: readonly string[],
  inFlight: number,
  least: number,
])[] = [
  [OURS_I, [IOREDIS], 1, 0.95],
  [OURS_I, [IOREDIS], 64, 1.5],
  [OURS_I, [IOREDIS], 512, 1.9],
  ...[1, 64, 512].map(
    (inFlight) => [OURS_N, ['node-redis', 'node-redis, no time-out'], inFlight, 1] as const,
  ),
]

try {
  const settings = { ...cluster.connectOptions, namespace: 'bench', commandTimeoutMs: TIMEOUT_MS }
  const all = await Promise.all([
    port(OURS_I, () => connectIoredis(settings)),
    ioredis(IOREDIS, { commandTimeout: TIMEOUT_MS }, false),
    ioredis('ioredis, autopipelining', { commandTimeout: TIMEOUT_MS }, true),
    port(OURS_N, () => connectNodeRedis(settings)),
    nodeRedis('node-redis', TIMEOUT_MS),
    nodeRedis('node-redis, no time-out', 0),
  ])
  const subjects = all.filter(({ name }) => options.only === undefined || name.includes(options.only))
  const [loader] = all
  await Promise.all(keys.map((_, i) => loader.set(i)))
  await Promise.all(keys.map((_, i) => loader.evalsha(i)))

  const results: { command: string; inFlight: number; name: string; rates: number[] }[] = []
  for (const command of ['get', 'set', 'evalsha'] as const) {
    for (const inFlight of [1, 64, 512]) {
      const rates = subjects.map(({ name }) => ({ command, inFlight, name, rates: [] as number[] }))
      for (let round = -1; round < Number(options.rounds); round++) {
        console.error(
          `  ${command}, ${inFlight} in flight: ${round < 0 ? 'warming up' : `round ${round + 1}`}`,
        )
        // In another order each round, so that nobody always follows the same neighbour.
        for (const index of subjects.keys()) {
          const at = (index + Math.max(0, round)) % subjects.length
          const subject = subjects.at(at)
          if (subject === undefined) continue
          const ms = round < 0 ? 200 : Number(options.ms)
          const { perSecond } = await rateOf(subject[command], inFlight, ms)
          if (round >= 0) rates[at]?.rates.push(perSecond)
        }
      }
      results.push(...rates)
    }
  }
  const ratios = PROMISES.flatMap(([ours, others, inFlight, least]) =>
    ['get', 'set', 'evalsha'].flatMap((command) => {
      const ratesOf = (name: string) =>
        results.find((one) => one.name === name && one.command === command && one.inFlight === inFlight)
          ?.rates ?? []
      const mine = ratesOf(ours)
      // Round by round against each, since what disturbs a machine comes and goes; the least of them counts.
      const ratioTo = (name: string) => median(mine.map((rate, i) => rate / (ratesOf(name)[i] ?? Number.NaN)))
      const present = others.filter((name) => ratesOf(name).length > 0)
      return mine.length === 0 || present.length === 0
        ? []
        : [{ ours, others, command, inFlight, ratio: Math.min(...present.map(ratioTo)), least }]
    }),
  )
  const findings = ratios.map(({ ours, others, command, inFlight, ratio, least }): Finding => {
    const against = others.length === 1 ? others[0] : `the nearer of ${others.join(' and ')}`
    const line = `${ratio.toFixed(2)} × ${against}: ${ours}, ${command}, ${inFlight} in flight (promised ${least})`
    return { holds: ratio >= least, line }
  })
  process.exitCode = exitCodeOf(findings)
  if (options.json) console.log(JSON.stringify({ version: cluster.version, results, ratios }))
  else {
    console.log(
      `Redis ${cluster.version}, six nodes, Node ${process.version}; thousands of calls a second, median (quartiles)\n`,
    )
    const width = Math.max(...subjects.map(({ name }) => name.length)) + 2
    for (const command of ['get', 'set', 'evalsha']) {
      console.log(
        `${command.toUpperCase().padEnd(width)}${[1, 64, 512].map((n) => `${n} in flight`.padStart(22)).join('')}`,
      )
      for (const { name } of subjects) {
        const cells = [1, 64, 512].map((inFlight) => {
          const rates =
            results.find((r) => r.name === name && r.command === command && r.inFlight === inFlight)?.rates ??
            []
          const k = (q: number) => (quantile(rates, q) / 1000).toFixed(1)
          return `${k(0.5)} (${k(0.25)}–${k(0.75)})`.padStart(22)
        })
        console.log(`${name.padEnd(width)}${cells.join('')}`)
      }
      console.log()
    }
    console.log(told(findings))
  }
  await Promise.all(all.map(({ close }) => close()))
} finally {
  await cluster.stop()
}
