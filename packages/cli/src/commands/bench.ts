import { randomBytes } from 'node:crypto'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Command } from 'commander'
import { Option } from 'commander'
import { type CommandCall, type Key, keyOf, type RedisPort } from 'slotwise/redis'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, whole, withConnection } from '../connection/options.js'
import { EXIT } from '../exit.js'
import { type Column, harmless, table } from '../output/table.js'
import { count, duration, plural } from '../output/units.js'
import type { Terminal } from '../terminal.js'

interface BenchFlags extends ConnectionFlags {
  readonly seconds: number
  readonly concurrency: number
  readonly size: number
}

/** What one kind of call came to. Latencies in milliseconds. */
interface Measured {
  readonly command: 'SET' | 'GET'
  readonly calls: number
  readonly failed: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const KEYS = 1000
/** Whatever happens to us, our keys are gone so long after the end. */
const SPARE_MS = 60_000
const KINDS = ['SET', 'GET'] as const

export function addBench(program: Command, runner: Runner): void {
  const command = program
    .command('bench')
    .summary('a short load of GET and SET, and how fast it goes')
    .description(
      'Writes and reads a thousand keys of its own, spread over all slots, as a program with this library would, and removes them. It loads the cluster as much as it can: mind who else uses it.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .addOption(new Option('-s, --seconds <n>', 'how long').argParser(whole(1, 60)).default(5))
    .addOption(
      new Option('--concurrency <n>', 'calls under way at a time').argParser(whole(1, 1000)).default(32),
    )
    .addOption(new Option('--size <bytes>', 'of a value').argParser(whole(1, 1_048_576)).default(64))
  act<BenchFlags>(withConnection(command), runner, {
    example: 'slotwise bench 10.0.0.1:6379 --seconds 10 --concurrency 64',
    work: async (terminal, args, flags) => {
      const connection = await connectionOf(flags, args, terminal)
      const { seconds, results, reason } = await withPort(connection, terminal, (port) =>
        load(port, terminal, flags),
      )
      const failed = results.reduce((sum, result) => sum + result.failed, 0)
      const { concurrency, size } = flags
      return {
        json: { seconds, concurrency, size, results, ...(reason === '' ? {} : { reason }) },
        text: () =>
          describe(
            results,
            `${duration(seconds * 1000)}, ${plural(concurrency, 'call')} at a time, ${plural(size, 'byte')} a value`,
            reason,
          ),
        ...(terminal.signal.aborted ? {} : { exitCode: failed > 0 ? EXIT.finding : EXIT.ok }),
      }
    },
  })
}

async function load(port: RedisPort, terminal: Terminal, { seconds, concurrency, size }: BenchFlags) {
  const { signal } = terminal
  const run = randomBytes(6).toString('hex')
  const keys = Array.from({ length: KEYS }, (_, i) =>
    keyOf({ namespace: port.namespace, pattern: 'cli', name: 'bench' }, [run, i]),
  )
  const value = 'x'.repeat(size)
  const tallies = { SET: tally(), GET: tally() }
  const ttlMs = seconds * 1000 + SPARE_MS
  const commandOf = (kind: 'SET' | 'GET', key: Key): CommandCall['command'] =>
    kind === 'SET' ? ['SET', key, value, 'PX', ttlMs] : ['GET', key]
  const began = performance.now()
  const until = began + seconds * 1000
  let turn = 0
  let reason = ''
  const work = async () => {
    while (performance.now() < until && !signal.aborted) {
      const kind = turn % 2 === 0 ? 'SET' : 'GET'
      const key = keys[Math.floor(turn++ / 2) % KEYS]
      if (key === undefined) return
      const { histogram } = tallies[kind]
      const sentAt = performance.now()
      try {
        await port.call({ key, command: commandOf(kind, key), repeat: 'safe' })
        histogram.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)))
      } catch (error) {
        tallies[kind].failed++
        reason = error instanceof Error ? error.message : String(error)
      }
    }
  }
  const ticker = setInterval(() => {
    const done = Math.min(seconds, Math.round((performance.now() - began) / 1000))
    terminal.progress({ text: 'calling', done, total: seconds, detail: plural(turn, 'call') })
  }, 500)
  try {
    await Promise.all(Array.from({ length: concurrency }, work))
  } finally {
    clearInterval(ticker)
  }
  const took = (performance.now() - began) / 1000
  const removed = await port.pipeline(keys.map((key) => ({ key, command: ['UNLINK', key], repeat: 'safe' })))
  const left = removed.filter(({ status }) => status === 'rejected').length
  if (left > 0)
    terminal.note(`${plural(left, 'key')} could not be removed; they expire within ${duration(ttlMs)}.`)
  return {
    seconds: Math.round(took * 1000) / 1000,
    results: KINDS.map((kind) => measured(kind, tallies[kind], took)),
    reason,
  }
}

interface Tally {
  /** In microseconds. */
  readonly histogram: RecordableHistogram
  failed: number
}

const tally = (): Tally => ({ histogram: createHistogram(), failed: 0 })

function measured(command: 'SET' | 'GET', { histogram, failed }: Tally, seconds: number): Measured {
  const at = (share: number) => (histogram.count === 0 ? 0 : histogram.percentile(share) / 1000)
  return {
    command,
    calls: histogram.count,
    failed,
    perSecond: Math.round(histogram.count / seconds),
    p50Ms: at(50),
    p95Ms: at(95),
    p99Ms: at(99),
    maxMs: histogram.count === 0 ? 0 : histogram.max / 1000,
  }
}

function describe(results: readonly Measured[], how: string, reason: string): string {
  const columns: readonly Column[] = [
    { title: 'CALL' },
    ...['CALLS', 'PER SECOND', 'P50', 'P95', 'P99', 'MAX', 'FAILED'].map(
      (title) => ({ title, align: 'right' }) as const,
    ),
  ]
  const rows = results.map(({ command, calls, perSecond, p50Ms, p95Ms, p99Ms, maxMs, failed }) => [
    command,
    count(calls),
    count(perSecond),
    ...[p50Ms, p95Ms, p99Ms, maxMs].map(duration),
    count(failed),
  ])
  return `${how}\n\n${table(columns, rows)}${reason === '' ? '' : `\n\nThe last failure: ${harmless(reason)}`}`
}
