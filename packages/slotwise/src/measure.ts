import type { MetricName } from './metrics.js'
import { endpointOf } from './redis/address.js'
import { type Events, hear } from './telemetry.js'

export type Attributes = Readonly<Record<string, string | number>>

/** Takes one measurement: what a counter grows by, what a histogram observes (times in seconds), or where a gauge stands. */
export type Sink = (metric: MetricName, value: number, attributes: Attributes) => void

/** More values of one label than these are one: whatever a program does, its series stay as few. */
const MOST = 100
const MOST_NODES = 500

/** What stands for all values beyond. */
export const OTHER = '_OTHER'

/** Lets the first values of each label pass. */
export class Bounds {
  readonly #seen = new Map<string, Set<string>>()

  of(label: string, value: string): string {
    let seen = this.#seen.get(label)
    if (seen === undefined) this.#seen.set(label, (seen = new Set()))
    if (seen.has(value)) return value
    if (seen.size >= (label === 'node' ? MOST_NODES : MOST)) return OTHER
    seen.add(value)
    return value
  }
}

/** A node as labels have it. */
export function nodeLabels(node: string): Attributes {
  if (node === OTHER) return { 'server.address': OTHER }
  const { host, port } = endpointOf(node)
  return { 'server.address': host, 'server.port': port }
}

/** What an error is called; nothing for a call that was answered. */
export function errorType({ outcome, replyCode }: Events['slotwise:redis:call']): string | undefined {
  return outcome === 'OK' ? undefined : (replyCode ?? outcome)
}

/** Turns events into measurements, until the function that is returned is called. */
export function measure(sink: Sink, { perNode }: { readonly perNode: boolean }): () => void {
  const bounds = new Bounds()
  const at = (node: string | undefined): Attributes =>
    perNode && node !== undefined ? nodeLabels(bounds.of('node', node)) : {}
  const pool = (node: string): Attributes =>
    perNode ? { 'db.client.connection.pool.name': bounds.of('node', node) } : {}
  const stops = [
    hear('slotwise:redis:call', (call) => {
      const error = errorType(call)
      sink('db.client.operation.duration', call.durationMs / 1000, {
        'db.system.name': 'redis',
        'db.operation.name': bounds.of('operation', call.operation),
        ...(call.script === undefined
          ? {}
          : { 'db.stored_procedure.name': bounds.of('script', call.script) }),
        ...(error === undefined ? {} : { 'error.type': bounds.of('error', error) }),
        ...at(call.node),
      })
      for (const [reason, times] of Object.entries(call.retries)) {
        sink('slotwise.redis.retries', times, { reason, ...at(call.node) })
      }
    }),
    hear('slotwise:redis:pool', ({ kind, node, waitedMs }) => {
      if (kind === 'borrowed') sink('db.client.connection.wait_time', waitedMs / 1000, pool(node))
      if (kind === 'exhausted') sink('db.client.connection.timeouts', 1, pool(node))
    }),
    hear('slotwise:redis', (event) => {
      if (event.kind === 'node-lost') sink('slotwise.redis.node.losses', 1, at(event.node))
      else if (event.kind === 'node-back')
        sink('slotwise.redis.node.absence', event.awayMs / 1000, at(event.node))
      else if (event.kind === 'subscription-interrupted')
        sink('slotwise.redis.subscription.interruptions', 1, at(event.node))
      else if (event.kind === 'subscription-resumed')
        sink('slotwise.redis.subscription.gap', event.awayMs / 1000, at(event.node))
      else if (CHANGES.has(event.kind)) sink('slotwise.redis.topology.changes', 1, { kind: event.kind })
    }),
    hear('slotwise:cache', ({ name, kind, durationMs }) => {
      sink('slotwise.cache.operation.duration', durationMs / 1000, { name: bounds.of('cache', name), kind })
    }),
    hear('slotwise:cache:audit', ({ name: given, windowMs, outcome }) => {
      const [name, window] = [bounds.of('cache', given), bounds.of('window', `${windowMs / 1000}s`)]
      sink('slotwise.cache.audit.looks', 1, { name, window, outcome })
    }),
    hear('slotwise:ratelimit', ({ name: given, plan, outcome, wouldRefuse, violated, durationMs }) => {
      const name = bounds.of('limiter', given)
      const of = plan === undefined ? { name } : { name, plan: bounds.of('plan', plan) }
      sink('slotwise.ratelimit.decision.duration', durationMs / 1000, { ...of, outcome })
      if (wouldRefuse !== undefined)
        sink('slotwise.ratelimit.shadow.refusals', 1, { ...of, outcome: wouldRefuse })
      const violations =
        wouldRefuse === undefined ? 'slotwise.ratelimit.violations' : 'slotwise.ratelimit.shadow.violations'
      for (const tier of violated) {
        sink(violations, 1, { ...of, tier: bounds.of('tier', tier) })
      }
    }),
    hear('slotwise:ratelimit:lease', ({ name, kind, tokens }) => {
      const limiter = bounds.of('limiter', name)
      sink('slotwise.ratelimit.lease.changes', 1, { name: limiter, kind })
      if (tokens > 0) sink('slotwise.ratelimit.lease.tokens', tokens, { name: limiter })
    }),
    ...measureLocks(sink, (name) => bounds.of('locks', name)),
    hear('slotwise:outbox', ({ name: given, kind, events, delayMs }) => {
      const name = bounds.of('outbox', given)
      if (kind === 'elected' || kind === 'interrupted') {
        sink('slotwise.outbox.changes', 1, { name, kind })
        return
      }
      sink('slotwise.outbox.events', events, { name, kind })
      if (delayMs !== undefined) sink('slotwise.outbox.delay', delayMs / 1000, { name })
    }),
    ...measureWriteBehind(sink, (name) => bounds.of('writebehind', name)),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

function measureLocks(sink: Sink, named: (name: string) => string): readonly (() => void)[] {
  return [
    hear('slotwise:lock', ({ name: given, kind, durationMs, place, heldMs, reason }) => {
      const name = named(given)
      sink('slotwise.lock.operation.duration', durationMs / 1000, { name, kind })
      if (place !== undefined) sink('slotwise.lock.line.place', place, { name })
      if (heldMs !== undefined)
        sink('slotwise.lock.hold.duration', heldMs / 1000, { name, end: reason ?? 'released' })
    }),
    hear('slotwise:lock:wait', ({ name, outcome, waitedMs }) => {
      sink('slotwise.lock.wait.duration', waitedMs / 1000, { name: named(name), outcome })
    }),
    hear('slotwise:lock:votes', ({ name: given, votes, rounds }) => {
      const name = named(given)
      for (const { node, vote } of votes) sink('slotwise.lock.votes', 1, { name, vote, node: String(node) })
      if (rounds === 2) sink('slotwise.lock.second_rounds', 1, { name })
    }),
  ]
}

function measureWriteBehind(sink: Sink, named: (name: string) => string): readonly (() => void)[] {
  return [
    hear('slotwise:writebehind', ({ name, kind, outcome, durationMs }) => {
      const labels = { name: named(name), kind, outcome }
      sink('slotwise.writebehind.change.duration', durationMs / 1000, labels)
    }),
    hear('slotwise:writebehind:flush', ({ name: given, kind, lines, rows, durationMs, delayMs }) => {
      const name = named(given)
      if (kind === 'rewound') {
        sink('slotwise.writebehind.rewinds', 1, { name })
        return
      }
      sink('slotwise.writebehind.flush.duration', durationMs / 1000, { name, outcome: kind })
      if (kind !== 'written') return
      sink('slotwise.writebehind.flush.lines', lines, { name })
      sink('slotwise.writebehind.flush.rows', rows, { name })
      if (delayMs !== undefined) sink('slotwise.writebehind.flush.delay', delayMs / 1000, { name })
    }),
    hear('slotwise:writebehind:letters', ({ name, kind, rows }) => {
      sink('slotwise.writebehind.letters', rows, { name: named(name), kind })
    }),
  ]
}

const CHANGES: ReadonlySet<string> = new Set(['failover', 'slots-moved', 'node-added', 'node-removed'])
