import { ConfigurationError } from '../errors.js'
import { type Id, plainName } from '../keys.js'
import { integer, oneOf, shown } from '../options.js'
import type { EvictionCheck } from '../redis/eviction.js'
import type { WriteBatch, Writer } from './writer.js'

/** How safe a change is once it is accepted. */
export type Durability =
  /** In the memory of the primary: a failover loses what no replica has yet. */
  | 'memory'
  /** So many replicas have it. */
  | { readonly replicas: number }

/** What a loader is told. */
export interface LoadContext {
  readonly tenant?: string
  readonly signal?: AbortSignal | undefined
}

/** Settings of {@link WriteBehind}. */
export interface WriteBehindOptions<T> {
  /** Part of every key: instances of one name share rows and journals. */
  readonly name: string
  /** Into so many journals rows are spread; changed by `WriteBehindAdmin.changePartitions`. @defaultValue `32` */
  readonly partitions?: number | undefined
  /** What writes to the database: `postgresWriter`, or a function of your own. */
  readonly writeBatch: WriteBatch<T> | Writer<T>
  /** So many lines of a journal are written at a time at most. @defaultValue `100` */
  readonly batchSize?: number | undefined
  /** How long a change waits at most for others to be written with it, in milliseconds. @defaultValue `1000` */
  readonly flushIntervalMs?: number | undefined
  /**
   * So many changes may wait in one partition; each partition by itself, so that a row that changes often has room while others
   * rest. @defaultValue `10_000`
   */
  readonly highWater?: number | undefined
  /** So many bytes they may take in one partition, beyond what Redis itself needs for each. @defaultValue 4 MiB */
  readonly maxBytes?: number | undefined
  /** What the database has of a row, for reads and counters of rows of which nothing waits. @defaultValue none */
  readonly load?: ((id: Id, context: LoadContext) => Promise<T | undefined>) | undefined
  /** @defaultValue `'memory'` */
  readonly durability?: Durability | undefined
  /** How long a batch may take before it counts as failed. @defaultValue `30_000` */
  readonly writeTimeoutMs?: number | undefined
  /** For how long a process has a partition without a word, in milliseconds. @defaultValue `10_000` */
  readonly leaseMs?: number | undefined
  /** For how long an `idempotencyKey` is known, in milliseconds. @defaultValue `60_000` */
  readonly idempotencyWindowMs?: number | undefined
  /**
   * What to do about primaries that may evict journals (`maxmemory-policy allkeys-…`), looked for at first and every minute:
   * refuse every operation, tell `onError`, or do not ask, where CONFIG is forbidden. @defaultValue `'refuse'`
   */
  readonly evictionCheck?: EvictionCheck | undefined
  /** Told of failures that reach no caller; what failed is tried again. @defaultValue nobody */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** The same, checked and with its defaults. */
export interface Settings<T> {
  readonly name: string
  readonly partitions: number
  readonly writer: Writer<T>
  readonly batchSize: number
  readonly flushIntervalMs: number
  readonly highWater: number
  readonly maxBytes: number
  readonly load: WriteBehindOptions<T>['load']
  readonly replicas: number
  readonly writeTimeoutMs: number
  readonly leaseMs: number
  readonly idempotencyWindowMs: number
  readonly evictionCheck: EvictionCheck
  readonly report: (error: unknown) => void
}

export function settingsOf<T>(options: WriteBehindOptions<T>): Settings<T> {
  const { durability = 'memory', onError, load } = options
  const partitions = integer('partitions', options.partitions ?? 32, { max: 1024 })
  return {
    name: plainName('name', options.name),
    partitions,
    writer: writerOf(options.writeBatch),
    batchSize: integer('batchSize', options.batchSize ?? 100, { max: 10_000 }),
    flushIntervalMs: integer('flushIntervalMs', options.flushIntervalMs ?? 1000, { max: 3_600_000 }),
    highWater: integer('highWater', options.highWater ?? 10_000, { max: 1_000_000 }),
    maxBytes: integer('maxBytes', options.maxBytes ?? 4 * 2 ** 20),
    load,
    replicas: durability === 'memory' ? 0 : integer('durability.replicas', durability.replicas, { max: 10 }),
    writeTimeoutMs: integer('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { max: 600_000 }),
    leaseMs: integer('leaseMs', options.leaseMs ?? 10_000, { min: 100, max: 30_000 }),
    idempotencyWindowMs: integer('idempotencyWindowMs', options.idempotencyWindowMs ?? 60_000),
    evictionCheck: oneOf('evictionCheck', options.evictionCheck ?? 'refuse', ['refuse', 'warn', 'off']),
    report: (error) => {
      try {
        onError?.(error)
      } catch {
        // A listener that throws must not end what it listens to.
      }
    },
  }
}

const isWriter = (given: unknown): boolean =>
  typeof given === 'object' && given !== null && 'claim' in given && 'write' in given

/** A function knows nothing of positions: what is not known to be written is written again. */
function writerOf<T>(given: WriteBatch<T> | Writer<T>): Writer<T> {
  if (typeof given === 'function') {
    const write: WriteBatch<T> = async (rows, context) => {
      if (rows.length > 0) await given(rows, context)
    }
    return { claim: async () => undefined, write }
  }
  if (isWriter(given)) return given
  throw new ConfigurationError(`writeBatch must be a function or a writer, got ${shown(given)}`)
}
