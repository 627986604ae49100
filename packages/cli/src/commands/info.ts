import type { Command } from 'commander'
import type { ClusterInfo, NodeInfo } from 'slotwise/cluster'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, withConnection } from '../connection/options.js'
import type { Palette } from '../output/colour.js'
import { harmless, table } from '../output/table.js'
import { count, plural, ranges, size } from '../output/units.js'

export function addInfo(program: Command, runner: Runner): void {
  const command = program
    .command('info')
    .summary('what there is: nodes, roles, slots, memory, replication')
    .description('Shows every node of the cluster, what it holds and how it stands with the others.')
    .argument('[nodes...]', 'any nodes of the cluster')
  act<ConnectionFlags>(withConnection(command), runner, {
    example: 'slotwise info 10.0.0.1:6379 --user ops --password-file ops.secret',
    work: async (terminal, args, flags) => {
      const { clusterInfo } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, args, terminal)
      const info = await withPort(connection, terminal, (port) =>
        clusterInfo(port, { timeoutMs: flags.timeout, signal: terminal.signal }),
      )
      return { json: info, text: ({ colours }) => describe(info, colours) }
    },
  })
}

function describe(info: ClusterInfo, { bold, good, bad, warn, dim }: Palette): string {
  const { slots, nodes, state, currentEpoch } = info
  const primaries = nodes.filter(({ role }) => role === 'primary')
  const head = [
    `state ${state === 'ok' ? good('ok') : bad('fail')}`,
    `${count(slots.assigned)} of 16,384 slots assigned`,
    ...(slots.pfail > 0 ? [warn(`${slots.pfail} suspected`)] : []),
    ...(slots.fail > 0 ? [bad(`${slots.fail} failed`)] : []),
    ...(slots.open.length > 0 ? [warn(`${plural(slots.open.length, 'open end')} of moving slots`)] : []),
    `${plural(primaries.length, 'primary', 'primaries')}, ${plural(nodes.length - primaries.length, 'replica')}`,
    `epoch ${currentEpoch}`,
  ]
  const rows = inOrder(nodes).map((node) => {
    const role = node.role === 'primary' ? bold('primary') : 'replica'
    const link =
      node.link === 'connected' ? node.link : node.link === 'failing' ? warn(node.link) : bad(node.link)
    if (!node.answered)
      return [
        node.address,
        role,
        slotsOf(node, nodes),
        bad('silent'),
        '',
        '',
        '',
        link,
        harmless(node.reason),
      ]
    const { memory, replication } = node
    return [
      node.address,
      role,
      slotsOf(node, nodes),
      node.keys === undefined ? dim('?') : count(node.keys),
      memory === undefined
        ? dim('?')
        : `${size(memory.usedBytes)}${memory.maxBytes > 0 ? ` of ${size(memory.maxBytes)}` : ''}`,
      node.opsPerSecond === undefined ? dim('?') : count(node.opsPerSecond),
      replication === undefined ? dim('?') : replicationOf(replication),
      link,
      harmless(node.version ?? '?'),
    ]
  })
  const columns = [
    { title: 'NODE' },
    { title: 'ROLE' },
    { title: 'SLOTS' },
    { title: 'KEYS', align: 'right' },
    { title: 'MEMORY', align: 'right' },
    { title: 'OPS/S', align: 'right' },
    { title: 'REPLICATION' },
    { title: 'LINK' },
    { title: 'VERSION' },
  ] as const
  return `${head.join(dim(' · '))}\n\n${table(columns, rows)}`
}

/** By slots, and each replica below whom it follows. */
function inOrder(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const first = (node: NodeInfo) => node.slots[0]?.[0] ?? Infinity
  const sorted = nodes.toSorted((a, b) => {
    const difference = first(a) - first(b)
    return Number.isFinite(difference) && difference !== 0
      ? difference
      : first(a) < first(b)
        ? -1
        : first(a) > first(b)
          ? 1
          : a.address < b.address
            ? -1
            : 1
  })
  const primaries = sorted.filter(({ role }) => role === 'primary')
  const placed = primaries.flatMap((primary) => [
    primary,
    ...sorted.filter((node) => node.primary === primary.id && node.role === 'replica'),
  ])
  return [...placed, ...sorted.filter((node) => !placed.includes(node))]
}

function slotsOf(node: NodeInfo, nodes: readonly NodeInfo[]): string {
  if (node.role === 'primary') return node.slots.length === 0 ? 'none' : ranges(node.slots)
  return `of ${nodes.find(({ id }) => id === node.primary)?.address ?? 'nobody known'}`
}

function replicationOf({
  link,
  lagBytes,
  replicas,
}: NonNullable<(NodeInfo & { answered: true })['replication']>): string {
  if (replicas !== undefined) return plural(replicas, 'replica')
  return `${link ?? '?'}${lagBytes === undefined ? '' : lagBytes === 0 ? ', no lag' : `, ${size(lagBytes)} behind`}`
}
