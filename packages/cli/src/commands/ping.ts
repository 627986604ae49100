import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { ClusterNode, RedisPort } from 'slotwise/redis'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, whole, withConnection } from '../connection/options.js'
import { EXIT } from '../exit.js'
import type { Palette } from '../output/colour.js'
import { harmless, table } from '../output/table.js'
import { duration } from '../output/units.js'
import type { Terminal } from '../terminal.js'
import { placed } from './operation.js'

interface PingFlags extends ConnectionFlags {
  readonly count: number
  readonly interval: number
}

/** How a node has answered. */
export interface Pinged {
  readonly node: string
  readonly role: ClusterNode['role']
  readonly sent: number
  readonly answered: number
  readonly minMs?: number
  readonly medianMs?: number
  readonly p99Ms?: number
  readonly maxMs?: number
  /** Why the last one that was not answered was not. */
  readonly reason?: string
}

export function addPing(program: Command, runner: Runner): void {
  const command = program
    .command('ping')
    .summary('how fast every node answers')
    .description(
      'Sends PING to all nodes at once, again and again. Ends with 1 if a node did not answer. Ctrl-C ends it early and shows what there is.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .addOption(
      new Option('-c, --count <n>', 'how many to each node').argParser(whole(1, 100_000)).default(10),
    )
    .addOption(
      new Option('-i, --interval <ms>', 'from one to the next').argParser(whole(1, 60_000)).default(100),
    )
  act<PingFlags>(withConnection(command), runner, {
    example: 'slotwise ping 10.0.0.1:6379 --count 100 --interval 20',
    work: async (terminal, args, flags) => {
      const connection = await connectionOf(flags, args, terminal)
      const nodes = await withPort(connection, terminal, (port) => pingAll(port, terminal, flags))
      const isSilent = nodes.some(({ sent, answered }) => answered < sent)
      return {
        json: { nodes },
        text: ({ colours }) => describe(nodes, colours),
        ...(terminal.signal.aborted ? {} : { exitCode: isSilent ? EXIT.finding : EXIT.ok }),
      }
    },
  })
}

async function pingAll(port: RedisPort, terminal: Terminal, flags: PingFlags): Promise<readonly Pinged[]> {
  const { signal } = terminal
  const deadlineMs = flags.timeout ?? 1000
  const seen = port.topology().nodes.map((node) => ({ node, times: [] as number[], sent: 0, reason: '' }))
  // The first one makes the connection, which is not what is measured.
  await Promise.allSettled(seen.map(({ node }) => port.onNode(node.id, ['PING'], { deadlineMs, signal })))
  for (let round = 0; round < flags.count && !signal.aborted; round++) {
    const next = performance.now() + flags.interval
    await Promise.all(
      seen.map(async (one) => {
        const sentAt = performance.now()
        try {
          await port.onNode(one.node.id, ['PING'], { deadlineMs, signal })
          one.times.push(performance.now() - sentAt)
        } catch (error) {
          if (signal.aborted) return
          one.reason = error instanceof Error ? error.message : String(error)
        }
        one.sent++
      }),
    )
    terminal.progress({ text: 'asking all nodes', done: round + 1, total: flags.count })
    if (round + 1 < flags.count) {
      await sleep(Math.max(0, next - performance.now()), undefined, { signal }).catch(() => {})
    }
  }
  return seen.map(({ node, times, sent, reason }) => ({
    node: placed(node),
    role: node.role,
    sent,
    answered: times.length,
    ...spread(times),
    ...(reason === '' ? {} : { reason }),
  }))
}

/** Of no times there is no spread. */
export function spread(times: readonly number[]): Pick<Pinged, 'minMs' | 'medianMs' | 'p99Ms' | 'maxMs'> {
  if (times.length === 0) return {}
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => {
    const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    return Math.round(value * 1000) / 1000
  }
  return { minMs: at(0), medianMs: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

function describe(nodes: readonly Pinged[], { bad, warn }: Palette): string {
  const figure = (ms: number | undefined) => (ms === undefined ? '' : duration(ms))
  const rows = nodes.map(({ node, role, sent, answered, minMs, medianMs, p99Ms, maxMs, reason }) => [
    node,
    role,
    answered === sent ? `${answered}/${sent}` : (answered === 0 ? bad : warn)(`${answered}/${sent}`),
    figure(minMs),
    figure(medianMs),
    figure(p99Ms),
    figure(maxMs),
    harmless(reason ?? ''),
  ])
  const right = (title: string) => ({ title, align: 'right' }) as const
  const columns = [
    { title: 'NODE' },
    { title: 'ROLE' },
    right('ANSWERED'),
    right('MIN'),
    right('MEDIAN'),
    right('P99'),
    right('MAX'),
    { title: '' },
  ]
  return table(columns, rows)
}
