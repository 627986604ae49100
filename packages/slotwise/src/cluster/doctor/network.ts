import type { Examined, ExaminedNode } from './examine.js'
import { type Found, found } from './finding.js'
import { isLoopback } from './hosts.js'
import { opinionsOf } from './members.js'
import { figure } from './observation.js'

/** What the client knows of the way to the nodes. */
export interface Way {
  /** Whether the port says where its `endpointMap` leads; else announced addresses are tried as they are. */
  readonly isMapKnown: boolean
}

/** Can clients get to the nodes, in time, and stay connected? */
export function network(seen: Examined, way: Way): Found[] {
  return seen.nodes.flatMap((node) => [
    ...address(node, seen, way),
    ...(seen.standalone ? [] : roundTrip(node)),
    ...connections(node),
    ...buffers(node),
  ])
}

/**
 * The address that the cluster announces, tried from this process. A node that the others do not reach either is simply
 * gone. One that answers through the port is reached by a map that we may not see, so only what is tried where the
 * port goes counts against it.
 */
function address(node: ExaminedNode, seen: Examined, { isMapKnown }: Way): Found[] {
  const { knock, name, state, host } = node
  if (knock.open || (state !== 'silent' && !isMapKnown)) return []
  const { lines, failing } = opinionsOf(node, seen)
  if (lines.length > 0 && failing.length === lines.length) return []
  const where = isLoopback(host) ? '; a loopback address is another machine for everybody else' : ''
  return [found('address-unreachable', name, `no connection to ${name}: ${knock.reason}${where}`)]
}

/** Median, since one slow answer of five is the noise of a busy machine. */
export function medianRtt({ times }: ExaminedNode): number | undefined {
  const spans = times.map(({ sentAt, heardAt }) => heardAt - sentAt).toSorted((a, b) => a - b)
  return spans[Math.floor(spans.length / 2)]
}

function roundTrip(node: ExaminedNode): Found[] {
  const rtt = medianRtt(node)
  const timeout = figure(node.config, 'cluster-node-timeout')
  if (rtt === undefined || timeout === undefined || rtt <= timeout / 10) return []
  const evidence = `a round trip to ${node.name} takes ${rtt.toFixed(1)} ms, more than a tenth of cluster-node-timeout ${timeout}`
  return [found('node-timeout-tight', node.name, evidence, { timeout: Math.ceil(rtt * 20) })]
}

function connections({ name, info }: ExaminedNode): Found[] {
  const rejected = figure(info, 'rejected_connections') ?? 0
  if (rejected === 0) return []
  const max = figure(info, 'maxclients') ?? 0
  const evidence = `${name} has turned away ${rejected} connections; ${info.get('connected_clients')} of ${max} are in use`
  return [found('connections-rejected', name, evidence, { more: Math.max(max * 2, 10_000) })]
}

/** Named `client-output-buffer-limit`: `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`. */
function buffers({ name, info, config }: ExaminedNode): Found[] {
  // Counted since Redis 7.2.
  const cut = figure(info, 'client_output_buffer_limit_disconnections') ?? 0
  const limits = config.get('client-output-buffer-limit') ?? ''
  const unbounded = [...limits.matchAll(/(slave|replica|pubsub) 0 0 \d+/g)].map(([, kind]) => kind)
  const shipped = { slave: '256mb 64mb 60', replica: '256mb 64mb 60', pubsub: '32mb 8mb 60' } as const
  const bounds = unbounded.map((kind) => `${kind} ${shipped[kind as keyof typeof shipped]}`).join(' ')
  return [
    ...(cut > 0
      ? [found('output-buffers-cut', name, `${name} has ended ${cut} connections that read too slowly`)]
      : []),
    ...(unbounded.length > 0
      ? [
          found(
            'output-buffers-unbounded',
            name,
            `${name} has no output buffer limit for ${unbounded.join(' and ')}`,
            { bounds },
          ),
        ]
      : []),
  ]
}
