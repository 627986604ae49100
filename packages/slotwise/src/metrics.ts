/** What a metric is, for the code and for the table in docs/observability.md. */
export interface Metric {
  readonly kind: 'counter' | 'histogram' | 'gauge' | 'updowncounter'
  /** As OpenTelemetry writes units: `s`, `By`, or a word in braces. */
  readonly unit: string
  readonly labels: readonly string[]
  readonly means: string
  /** When somebody should look. */
  readonly alert: string
}

const NODE = ['server.address', 'server.port'] as const
const POOL = ['db.client.connection.pool.name'] as const

/**
 * Every metric, under its OpenTelemetry name; in Prometheus it has the name that an OpenTelemetry collector would give
 * it, so that one dashboard serves both. No label holds a key, an id or a tenant.
 */
export const METRICS = {
  'db.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['db.system.name', 'db.operation.name', 'db.stored_procedure.name', 'error.type', ...NODE],
    means: 'a call, from when it is asked for to its end, with all repeats; `error.type` only if it failed',
    alert: 'the share with `error.type` is above 1 %, or the 99th percentile above what callers allow',
  },
  'slotwise.redis.retries': {
    kind: 'counter',
    unit: '{retry}',
    labels: ['reason', ...NODE],
    means:
      'what kept calls that have ended from being answered at once: `moved`, `ask`, `tryagain`, `lost`, …',
    alert: '`lost`, `timeout` or `clusterdown` go on for longer than a failover takes',
  },
  'slotwise.redis.topology.changes': {
    kind: 'counter',
    unit: '{change}',
    labels: ['kind'],
    means: '`failover`, `slots-moved`, `node-added`, `node-removed`, as a port saw them',
    alert: 'a `failover` that nobody has planned',
  },
  'slotwise.redis.node.losses': {
    kind: 'counter',
    unit: '{loss}',
    labels: NODE,
    means: 'a node that answered does not: its breaker opens',
    alert: 'one node again and again',
  },
  'slotwise.redis.node.absence': {
    kind: 'histogram',
    unit: 's',
    labels: NODE,
    means: 'how long a node was away that is back: its breaker closes',
    alert: 'longer than a restart takes',
  },
  'slotwise.redis.subscription.interruptions': {
    kind: 'counter',
    unit: '{interruption}',
    labels: NODE,
    means: 'a sharded channel that may miss messages from then on',
    alert: 'more often than slots move and nodes fail',
  },
  'slotwise.redis.subscription.gap': {
    kind: 'histogram',
    unit: 's',
    labels: NODE,
    means: 'how long a channel was not heard that is heard again',
    alert: 'longer than a failover takes',
  },
  'db.client.connection.wait_time': {
    kind: 'histogram',
    unit: 's',
    labels: POOL,
    means: 'until a call that cannot share a connection had one of its own, opening it included',
    alert: 'the 95th percentile nears `poolTimeoutMs`',
  },
  'db.client.connection.timeouts': {
    kind: 'counter',
    unit: '{timeout}',
    labels: POOL,
    means: 'callers who found all `connectionsPerNode.max` taken until their time was over',
    alert: 'any: raise `connectionsPerNode.max`, or find who keeps them',
  },
  'slotwise.cache.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'kind'],
    means:
      'reads and invalidations by what became of them: `local`, `hit`, `load`, `wait`, `bypass`, `invalidate`, `error`, …',
    alert: '`bypass` or `error` go on: Redis does not serve the cache; or the share of `hit` falls',
  },
  'slotwise.cache.audit.looks': {
    kind: 'counter',
    unit: '{look}',
    labels: ['name', 'window', 'outcome'],
    means:
      'entries that an audit looked at, by how long after something had happened to them (`1s`, `10s`, `60s`): `consistent`, `inconsistent`, `absent`, `moving`, `failed`',
    alert: '`inconsistent` by `consistent` and `inconsistent` together is above 0 in the longest window',
  },
  'slotwise.ratelimit.decision.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'plan', 'outcome'],
    means:
      'decisions by outcome: `allowed`, `limited`, `blocked`, `exceeds-capacity`, `unavailable`; by plan only where `planOf` names it',
    alert:
      '`unavailable` goes on: `whenUnavailable` decides now; `exceeds-capacity`: a cost can never be granted',
  },
  'slotwise.ratelimit.violations': {
    kind: 'counter',
    unit: '{violation}',
    labels: ['name', 'plan', 'tier'],
    means: 'tiers that a refused request would have exceeded',
    alert: 'a tier for all that refuses many',
  },
  'slotwise.ratelimit.shadow.refusals': {
    kind: 'counter',
    unit: '{request}',
    labels: ['name', 'plan', 'outcome'],
    means:
      'requests that a limiter with `shadow: true` let in and would have refused: `limited`, `blocked`, `exceeds-capacity`, `unavailable`',
    alert: 'never by itself',
  },
  'slotwise.ratelimit.shadow.violations': {
    kind: 'counter',
    unit: '{violation}',
    labels: ['name', 'plan', 'tier'],
    means: 'tiers that such a request would have exceeded',
    alert: 'never by itself',
  },
  'slotwise.ratelimit.lease.changes': {
    kind: 'counter',
    unit: '{change}',
    labels: ['name', 'kind'],
    means:
      'subjects that are leased from here on (`hot`) or no more (`cold`), and round trips for leases: `granted`, `short`',
    alert: '`granted` is close to the number of decisions: leases are too small to save anything',
  },
  'slotwise.ratelimit.lease.tokens': {
    kind: 'counter',
    unit: '{token}',
    labels: ['name'],
    means: 'tokens that were leased',
    alert: 'far above what is admitted: leases end before they are spent',
  },
  'slotwise.lock.operation.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'kind'],
    means:
      'what became of locks: `acquired`, `busy`, `quarantined`, `unavailable`, `extended`, `released`, `lost`, `done`',
    alert: 'any `lost`: a holder was too slow or Redis away; `unavailable` goes on',
  },
  'slotwise.lock.wait.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'outcome'],
    means:
      'how long `acquire` took, by what it came to: `acquired`, `busy`, `quarantined`, `unavailable`, `aborted`',
    alert: 'the 95th percentile of `acquired` nears `waitMs`; `busy` is frequent',
  },
  'slotwise.lock.hold.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'end'],
    means:
      'how long locks were held, by how that ended: `released`, or lost because their time was over (`expired`) or somebody else has them (`taken`)',
    alert:
      'any `expired`: `ttlMs` is too short for the work; any `taken`: a server forgot it, or an operator freed it',
  },
  'slotwise.lock.line.place': {
    kind: 'histogram',
    unit: '{place}',
    labels: ['name'],
    means: 'the place in the line that those who wait are given, at each time they ask',
    alert: 'it grows: more is asked of one lock than its holders get done',
  },
  'slotwise.lock.votes': {
    kind: 'counter',
    unit: '{vote}',
    labels: ['name', 'node', 'vote'],
    means:
      'what independent nodes said to requests for locks, also when it was decided without them, by which of the ports it is: `granted`, `busy`, `late`, `unreachable`, `quarantined`, `clock`',
    alert: '`late` or `unreachable` goes on: one more node and no lock is given; any `clock`',
  },
  'slotwise.lock.second_rounds': {
    kind: 'counter',
    unit: '{round}',
    labels: ['name'],
    means: 'locks of independent nodes that took a second round, since the nodes gave different tokens',
    alert: 'close to the number of `acquired`: a clock is behind',
  },
  'slotwise.outbox.events': {
    kind: 'counter',
    unit: '{event}',
    labels: ['name', 'kind'],
    means:
      'changes of Postgres that an outbox carried (`applied`), will try again (`failed`) or gave up (`set-aside`)',
    alert: 'any `set-aside`: the table says why; `failed` goes on while `applied` does not',
  },
  'slotwise.outbox.delay': {
    kind: 'histogram',
    unit: 's',
    labels: ['name'],
    means: 'how long ago the oldest change of a batch had been written when it was carried',
    alert: 'longer than your transactions take, for minutes; and ask `lag()` for what waits',
  },
  'slotwise.outbox.changes': {
    kind: 'counter',
    unit: '{change}',
    labels: ['name', 'kind'],
    means: 'that this process began to consume (`elected`), or Postgres failed it (`interrupted`)',
    alert: '`interrupted` goes on',
  },
  'slotwise.writebehind.change.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'kind', 'outcome'],
    means:
      'changes of rows (`write`, `delete`, `increment`) by what became of them: `accepted`, `full`, `invalid`, `unknown`, `aborted`, `error`',
    alert: '`full` goes on: the database takes less than comes; `error` or `unknown` go on',
  },
  'slotwise.writebehind.flush.duration': {
    kind: 'histogram',
    unit: 's',
    labels: ['name', 'outcome'],
    means:
      'batches by what became of them: `written`, `failed` (tried again), `fenced` (another process has the partition)',
    alert: '`failed` goes on while `written` does not',
  },
  'slotwise.writebehind.flush.lines': {
    kind: 'histogram',
    unit: '{line}',
    labels: ['name'],
    means: 'changes in each batch that was written',
    alert: 'its median stays at `batchSize.min`: the database is slow',
  },
  'slotwise.writebehind.flush.rows': {
    kind: 'counter',
    unit: '{row}',
    labels: ['name'],
    means: 'rows in the batches that were written; changes by rows is what was saved',
    alert: 'never by itself',
  },
  'slotwise.writebehind.flush.delay': {
    kind: 'histogram',
    unit: 's',
    labels: ['name'],
    means: 'for how long the first change of a batch had waited when it was written',
    alert: 'longer than `flushIntervalMs` and a batch take, for minutes',
  },
  'slotwise.writebehind.letters': {
    kind: 'counter',
    unit: '{row}',
    labels: ['name', 'kind'],
    means: 'rows that were given up (`given-up`), and that somebody `replayed` or `discarded`',
    alert: 'any `given-up`: `deadLetters()` says why',
  },
  'slotwise.writebehind.rewinds': {
    kind: 'counter',
    unit: '{rewind}',
    labels: ['name'],
    means: 'a failover had taken back what the database had: what was left of a journal was written again',
    alert: 'any: changes may be lost; `durability` makes that rare',
  },
  'slotwise.writebehind.partitions': {
    kind: 'updowncounter',
    unit: '{partition}',
    labels: ['name'],
    means: 'partitions that this process flushes; only with `writeBehinds`',
    alert: 'the sum over all processes is less than `partitions` for longer than two leases',
  },
  'slotwise.writebehind.lag': {
    kind: 'updowncounter',
    unit: '{change}',
    labels: ['name'],
    means: 'changes that wait in them, when each was looked at last; only with `writeBehinds`',
    alert: 'it grows for minutes, or nears `partitions` × `highWater`',
  },
  'slotwise.writebehind.lag.size': {
    kind: 'updowncounter',
    unit: 'By',
    labels: ['name'],
    means: 'what they take; only with `writeBehinds`',
    alert: 'it nears `partitions` × `maxBytes`',
  },
  'slotwise.writebehind.lag.age': {
    kind: 'gauge',
    unit: 's',
    labels: ['name'],
    means: 'since when the oldest of them waits; only with `writeBehinds`',
    alert: 'longer than readers of the database may be behind',
  },
  'slotwise.writebehind.dead_letters': {
    kind: 'updowncounter',
    unit: '{row}',
    labels: ['name'],
    means: 'rows in them that the database does not take; only with `writeBehinds`',
    alert: 'above 0 until somebody has looked',
  },
  'slotwise.writebehind.batch.limit': {
    kind: 'gauge',
    unit: '{line}',
    labels: ['name'],
    means: 'how many changes a batch may have at the moment, on average over them; only with `writeBehinds`',
    alert: 'it stays at `batchSize.min`: the database is slow, or fails',
  },
  'slotwise.redis.calls.active': {
    kind: 'updowncounter',
    unit: '{call}',
    labels: ['client'],
    means: 'calls under way on shared connections',
    alert: 'it grows and does not fall',
  },
  'slotwise.redis.nodes': {
    kind: 'updowncounter',
    unit: '{node}',
    labels: ['client', 'role'],
    means: 'nodes of the cluster as the port knows it',
    alert: 'fewer than there should be',
  },
  'slotwise.redis.slots.unserved': {
    kind: 'updowncounter',
    unit: '{slot}',
    labels: ['client'],
    means: 'slots that nobody owns, or whose primary does not answer this process',
    alert: 'above 0 for longer than a failover takes',
  },
  'slotwise.redis.breaker.open': {
    kind: 'gauge',
    unit: '{breaker}',
    labels: ['client', ...NODE],
    means: '1 while a node does not answer this process, else 0',
    alert: '1 for longer than a restart takes',
  },
  'slotwise.redis.subscriptions': {
    kind: 'updowncounter',
    unit: '{channel}',
    labels: ['client', 'state'],
    means: 'sharded channels that are `live`, and those that are `interrupted`',
    alert: '`interrupted` above 0 for longer than a failover takes',
  },
  'db.client.connection.count': {
    kind: 'updowncounter',
    unit: '{connection}',
    labels: ['client', ...POOL, 'db.client.connection.state'],
    means: 'connections of their own that are lent (`used`) or kept (`idle`)',
    alert: '`used` stays at `connectionsPerNode.max`',
  },
  'db.client.connection.pending_requests': {
    kind: 'updowncounter',
    unit: '{request}',
    labels: ['client', ...POOL],
    means: 'callers who wait for a connection of their own',
    alert: 'above 0 for minutes',
  },
  'slotwise.cluster.health': {
    kind: 'gauge',
    unit: '{state}',
    labels: ['client', 'status'],
    means: '1 for what `healthCheck` says, `ok`, `degraded` or `down`, else 0; only with `health`',
    alert: '`down` at once, `degraded` after minutes',
  },
  'slotwise.cluster.findings': {
    kind: 'gauge',
    unit: '{finding}',
    labels: ['client', 'finding', 'severity'],
    means: 'how often `healthCheck` found this; only with `health`',
    alert: '`severity` is `critical`',
  },
} as const satisfies Readonly<Record<string, Metric>>

export type MetricName = keyof typeof METRICS

/** Upper bounds of the buckets, in seconds: a call takes half a millisecond, a deadline seconds, an absence minutes; or in lines and places. */
const BUCKETS: Readonly<Record<'call' | 'delay' | 'absence' | 'size', readonly number[]>> = {
  call: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  // Milliseconds where all is well, an absence where it is not.
  delay: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10, 30, 60, 300, 900],
  absence: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
  size: [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000],
}

/** The buckets of a histogram. */
export function bucketsOf(name: MetricName): readonly number[] {
  if (name === 'slotwise.outbox.delay' || name === 'slotwise.writebehind.flush.delay') return BUCKETS.delay
  if (name === 'slotwise.writebehind.flush.lines' || name === 'slotwise.lock.line.place') return BUCKETS.size
  // A lock may be held for minutes by who extends it.
  if (name === 'slotwise.lock.hold.duration') return BUCKETS.delay
  return name === 'slotwise.redis.node.absence' || name === 'slotwise.redis.subscription.gap'
    ? BUCKETS.absence
    : BUCKETS.call
}

/** The name that an OpenTelemetry collector gives a metric in Prometheus. */
export function prometheusName(name: MetricName): string {
  const { kind, unit } = METRICS[name]
  const suffix = unit === 's' ? '_seconds' : unit === 'By' ? '_bytes' : ''
  return `${labelName(name)}${suffix}${kind === 'counter' ? '_total' : ''}`
}

/** And a label. */
export const labelName = (label: string): string => label.replaceAll('.', '_')
