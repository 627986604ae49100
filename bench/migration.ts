/**
 * Slots moved the classic way, beside `redis-cli --cluster reshard`: the same slots with the same keys, there and
 * back, on one cluster, in turns. What others meet meanwhile is measured by a caller that keeps setting a key of the
 * source which is not moved.
 */

import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { cpus, homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Cluster } from 'ioredis'
import { moveSlots } from 'slotwise/cluster'
import { startLocalCluster } from 'slotwise/local'
import { slotOf } from 'slotwise/redis'
import { exitCodeOf, type Finding, told } from './measuring/findings.js'
import { optionsOf } from './measuring/options.js'

const HELP = `npm run bench -- migration [--rounds 5] [--slots 500] [--json]

Slots and keys a second that go from one primary to another, ours and redis-cli's, in turns on one cluster: empty slots,
small keys, larger ones. Medians over the rounds with their quartiles, the ratio, and the longest that a caller of the
source waited. redis-cli is taken from the PATH, or from the packages that redis-server was fetched with. Exit code: 0 all
that is promised was reached, 1 something was missed.`

const options = optionsOf(HELP, {
  rounds: { type: 'string', default: '5' },
  slots: { type: 'string', default: '500' },
})

const SLOTS = Number(options.slots)
const DATA = [
  { name: 'empty', keys: 0, bytes: 0 },
  { name: '20 keys of 100 B', keys: 20, bytes: 100 },
  { name: '200 keys of 100 B', keys: 200, bytes: 100 },
  { name: '20 keys of 10 kB', keys: 20, bytes: 10_000 },
] as const
const OURS = 'ours'
const THEIRS = 'redis-cli'

interface Round {
  readonly slotsPerSecond: number
  readonly keysPerSecond: number
  readonly longestWaitMs: number
}

/** The package of redis-server that is fetched where there is none brings redis-cli with it. */
function findCli(): { readonly path: string; readonly env: NodeJS.ProcessEnv } {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .find((folder) => existsSync(join(folder, 'redis-cli')))
  if (found !== undefined) return { path: join(found, 'redis-cli'), env: {} }
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'slotwise')
  const root = join(cache, `redis-server-${process.platform}-${process.arch}`)
  const path = join(root, 'usr/bin/redis-cli')
  if (!existsSync(path)) throw new Error('there is no redis-cli: install redis-tools, or put it on the PATH')
  const folders = readdirSync(join(root, 'usr/lib')).filter((name) => name.includes('-linux-'))
  return { path, env: { LD_LIBRARY_PATH: folders.map((name) => join(root, 'usr/lib', name)).join(':') } }
}

async function reshard(node: string, from: string, to: string): Promise<void> {
  const what = ['--cluster-from', from, '--cluster-to', to, '--cluster-slots', String(SLOTS), '--cluster-yes']
  const child = spawn(cli.path, ['--cluster', 'reshard', node, ...what], {
    env: { ...process.env, ...cli.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Read to the end, or it would stop writing; what it says last is why it failed.
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-500)
    })
  }
  const code = await new Promise((resolve, reject) => {
    child.once('close', resolve)
    child.once('error', reject)
  })
  if (code !== 0) throw new Error(`redis-cli ended with ${String(code)}: ${said}`)
}

/** Keeps setting one key until it is told to stop, and says how long the slowest took. */
function caller(client: Cluster, key: string): () => Promise<number> {
  let longest = 0
  const over = new AbortController()
  const done = (async () => {
    while (!over.signal.aborted) {
      const began = performance.now()
      await client.set(key, 'x')
      longest = Math.max(longest, performance.now() - began)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  return async () => {
    over.abort()
    await done
    return longest
  }
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}
const median = (values: readonly number[]) => quantile(values, 0.5)

const cli = findCli()
const cluster = await startLocalCluster({ onProgress: (step) => console.error(`  ${step}`) })
const client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
client.on('error', () => {})
await new Promise<void>((resolve) => client.once('ready', () => resolve()))

try {
  // The first slots, which are those that redis-cli takes of a node.
  const tags = new Map<number, string>()
  let elsewhere = ''
  for (let i = 0; tags.size < SLOTS || elsewhere === ''; i++) {
    const slot = slotOf(`{${i}}`)
    if (slot < SLOTS) tags.set(slot, `{${i}}`)
    else if (slot > SLOTS && slot < 5000) elsewhere = `{${i}}`
  }
  const owner = async (slot: number) => {
    const ranges = await client.cluster('SLOTS')
    const [, , primary] = ranges.find(([first, last]) => slot >= first && slot <= last) ?? []
    if (primary === undefined) throw new Error(`nobody owns slot ${slot}`)
    const [host, port, id] = primary
    return { id, node: `${host}:${port}` }
  }
  const home = await owner(0)
  const other = await owner(16_383)
  const move = {
    [OURS]: async (from: typeof home, to: typeof home) => {
      const { slotsMoved } = await moveSlots({
        nodes: [from.node],
        to: to.id,
        slots: [[0, SLOTS - 1]],
        method: 'classic',
      })
      if (slotsMoved !== SLOTS) throw new Error(`${slotsMoved} slots were moved`)
    },
    [THEIRS]: (from: typeof home, to: typeof home) => reshard(from.node, from.id, to.id),
  }
  const measure = async (subject: keyof typeof move, keys: number): Promise<Round> => {
    const stop = caller(client, elsewhere)
    let ms = 0
    for (const [from, to] of [
      [home, other],
      [other, home],
    ] as const) {
      await cluster.whenHealthy()
      const began = performance.now()
      await move[subject](from, to)
      ms += performance.now() - began
    }
    const longestWaitMs = await stop()
    const slotsPerSecond = (SLOTS * 2000) / ms
    return { slotsPerSecond, keysPerSecond: slotsPerSecond * keys, longestWaitMs }
  }

  const results: { data: string; subject: string; rounds: Round[] }[] = []
  for (const { name, keys, bytes } of DATA) {
    await Promise.all(
      [...tags.values()].map(async (tag) => {
        for (let i = 0; i < keys; i++) await client.set(`${tag}${i}`, 'x'.repeat(bytes))
      }),
    )
    const all = [OURS, THEIRS] as const
    const here = all.map((subject) => ({ data: name, subject, rounds: [] as Round[] }))
    for (let round = -1; round < Number(options.rounds); round++) {
      console.error(`  ${name}: ${round < 0 ? 'warming up' : `round ${round + 1}`}`)
      // In another order each round, so that nobody always follows the other.
      for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
        const subject = index === 0 ? OURS : THEIRS
        const measured = await measure(subject, keys)
        if (round >= 0) here[index]?.rounds.push(measured)
      }
    }
    results.push(...here)
    const rest = [...tags.values()].flatMap((tag) => Array.from({ length: keys }, (_, i) => `${tag}${i}`))
    await Promise.all(rest.map((key) => client.del(key)))
  }

  const ratios = DATA.map(({ name }) => {
    const [mine = [], theirs = []] = [OURS, THEIRS].map(
      (subject) => results.find((one) => one.data === name && one.subject === subject)?.rounds,
    )
    // Round by round, since what disturbs a machine comes and goes.
    const ratio = median(mine.map((one, i) => one.slotsPerSecond / (theirs[i]?.slotsPerSecond ?? Number.NaN)))
    return { data: name, ratio, least: 1 }
  })
  const findings = ratios.map(
    ({ data, ratio, least }): Finding => ({
      holds: ratio >= least,
      line: `${ratio.toFixed(2)} × ${THEIRS}: ${data} (promised ${least})`,
    }),
  )
  process.exitCode = exitCodeOf(findings)
  if (options.json) console.log(JSON.stringify({ version: cluster.version, slots: SLOTS, results, ratios }))
  else {
    const [cpu = { model: 'unknown' }] = cpus()
    console.log(
      `Redis ${cluster.version}, six nodes, Node ${process.version}, ${cpus().length} × ${cpu.model}; ${SLOTS} slots there and back, median (quartiles)\n`,
    )
    console.log(
      `${''.padEnd(32)}${['slots/s', 'keys/s', 'longest wait, ms'].map((n) => n.padStart(26)).join('')}`,
    )
    for (const { data, subject, rounds } of results) {
      const cells = (['slotsPerSecond', 'keysPerSecond', 'longestWaitMs'] as const).map((what) => {
        const values = rounds.map((round) => round[what])
        const at = (q: number) => quantile(values, q).toFixed(what === 'longestWaitMs' ? 1 : 0)
        return `${at(0.5)} (${at(0.25)}–${at(0.75)})`.padStart(26)
      })
      console.log(`${`${data}, ${subject}`.padEnd(32)}${cells.join('')}`)
    }
    console.log()
    console.log(told(findings))
  }
} finally {
  client.disconnect()
  await cluster.stop()
}
