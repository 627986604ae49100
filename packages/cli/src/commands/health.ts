import type { Command } from 'commander'
import { Option } from 'commander'
import type { ClusterHealth, Finding, Severity, Usage } from 'slotwise/cluster'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, whole, withConnection, words } from '../connection/options.js'
import { EXIT, type ExitCode } from '../exit.js'
import type { Palette } from '../output/colour.js'
import { harmless, table } from '../output/table.js'
import { count, duration, plural, ranges, size } from '../output/units.js'

const USAGES = [
  'locks',
  'sessions',
  'queue',
  'cache',
  'ratelimit',
  'channels',
  'boards',
] as const satisfies readonly Usage[]
const SEVERITIES = ['info', 'warning', 'critical'] as const satisfies readonly Severity[]

interface UsageFlags extends ConnectionFlags {
  readonly usage?: readonly Usage[]
}

interface DoctorFlags extends UsageFlags {
  readonly active: boolean
  readonly failOn: Severity | 'never'
  readonly bigKeyBytes?: number
  readonly sample?: number
}

const withUsage = (command: Command): Command =>
  command.addOption(
    new Option(
      '--usage <uses>',
      `what the cluster is used for, of ${USAGES.join(', ')} (default: all)`,
    ).argParser(words(USAGES)),
  )

export function addHealth(program: Command, runner: Runner): void {
  const command = program
    .command('health')
    .summary('whether all is served: ok, degraded or down')
    .description(
      'Asks every node whether all slots are served, and would be after one more fault. Ends with 0 for ok, 1 for degraded, 4 for down.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
  act<UsageFlags>(withConnection(withUsage(command)), runner, {
    example: 'slotwise health 10.0.0.1:6379 --usage locks,cache',
    work: async (terminal, args, flags) => {
      const { healthCheck } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, args, terminal)
      const health = await withPort(connection, terminal, (port) =>
        healthCheck(port, { usage: flags.usage, timeoutMs: flags.timeout, signal: terminal.signal }),
      )
      const codes = { ok: EXIT.ok, degraded: EXIT.finding, down: EXIT.critical } as const
      return {
        json: health,
        text: ({ colours }) => describeHealth(health, colours),
        exitCode: codes[health.status],
      }
    },
  })
}

export function addDoctor(program: Command, runner: Runner): void {
  const command = program
    .command('doctor')
    .summary('what is wrong, or will be, and what to do')
    .description(
      'Examines every node and setting, by what the cluster is used for. Ends with 4 if a finding is critical, 1 if one is a warning; --fail-on says what counts. Without --active nothing is written.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .option('--active', 'also write, read and expire a key on every primary', false)
    .addOption(
      new Option('--fail-on <severity>', 'the least that makes the command fail')
        .choices([...SEVERITIES, 'never'])
        .default('warning'),
    )
    .addOption(
      new Option('--big-key-bytes <n>', 'how much a key may take (default: 10 MiB)').argParser(
        whole(1, 2 ** 40),
      ),
    )
    .addOption(
      new Option('--sample <n>', 'how many keys of a primary are weighed (default: 100)').argParser(
        whole(0, 10_000),
      ),
    )
  act<DoctorFlags>(withConnection(withUsage(command)), runner, {
    example: 'slotwise doctor 10.0.0.1:6379 --usage locks,cache --active --fail-on critical',
    work: async (terminal, args, flags) => {
      const { doctor } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, args, terminal)
      const findings = await withPort(connection, terminal, (port) =>
        doctor(port, {
          usage: flags.usage,
          active: flags.active,
          timeoutMs: flags.timeout,
          bigKeyBytes: flags.bigKeyBytes,
          sampledKeys: flags.sample,
          signal: terminal.signal,
        }),
      )
      return {
        json: { worst: findings[0]?.severity ?? null, findings },
        text: ({ colours }) => describeFindings(findings, colours),
        exitCode: severityCode(findings, flags.failOn),
      }
    },
  })
}

/** By the worst, of those that count. */
export function severityCode(
  findings: readonly Pick<Finding, 'severity'>[],
  failOn: Severity | 'never',
): ExitCode {
  if (failOn === 'never') return EXIT.ok
  const least = SEVERITIES.indexOf(failOn)
  const worst = Math.max(-1, ...findings.map(({ severity }) => SEVERITIES.indexOf(severity)))
  if (worst < least) return EXIT.ok
  return SEVERITIES[worst] === 'critical' ? EXIT.critical : EXIT.finding
}

function describeHealth(health: ClusterHealth, colours: Palette): string {
  const { status, slots, nodes, findings } = health
  const paint = status === 'ok' ? colours.good : status === 'degraded' ? colours.warn : colours.bad
  const missing = slots.unserved.length === 0 ? '' : `; not served: ${ranges(slots.unserved)}`
  const rows = nodes.map(({ node, role, state, latencyMs, lagBytes, reason }) => [
    node,
    role,
    state === 'answers' ? state : colours.bad(state),
    latencyMs === undefined ? '' : duration(latencyMs),
    lagBytes === undefined ? '' : size(lagBytes),
    harmless(reason ?? ''),
  ])
  const columns = [
    { title: 'NODE' },
    { title: 'ROLE' },
    { title: 'STATE' },
    { title: 'LATENCY', align: 'right' },
    { title: 'LAG', align: 'right' },
    { title: '' },
  ] as const
  const found = findings.length === 0 ? '' : `\n\n${describeFindings(findings, colours)}`
  return `${paint(colours.bold(status))}: ${count(slots.served)} of 16,384 slots served${missing}\n\n${table(columns, rows)}${found}`
}

/** The worst first, each with what was seen and what to do. */
function describeFindings(findings: readonly Finding[], { good, warn, bad, dim, bold }: Palette): string {
  if (findings.length === 0) return good('Nothing found.')
  const paint = { critical: bad, warning: warn, info: dim }
  const told = findings.map(({ severity, id, node, evidence, fix }) => {
    const where = node === undefined ? '' : ` at ${node}`
    return `${paint[severity](severity)} ${bold(id)}${where}\n  ${harmless(evidence)}\n  ${dim('→')} ${harmless(fix)}`
  })
  const counts = SEVERITIES.toReversed().flatMap((severity) => {
    const some = findings.filter((finding) => finding.severity === severity).length
    return some === 0 ? [] : [`${some} ${severity}`]
  })
  return `${told.join('\n\n')}\n\n${plural(findings.length, 'finding')}: ${counts.join(', ')}`
}
