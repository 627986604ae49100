import { ConfigurationError } from '../errors.js'
import { type Id, plainName } from '../keys.js'
import { integer, oneOf, shown } from '../options.js'
import type { EvictionCheck } from '../redis/eviction.js'
import { type Durability, type Safety, safetyOf } from './durability.js'
import type { JournalBounds } from './journal.js'
import { type BatchSize, type PaceBounds, paceBoundsOf } from './pace.js'
import type { WriteBatch, Writer } from './writer.js'

/** What a loader is told. */
export interface LoadContext {
  readonly tenant?: string
  readonly signal?: AbortSignal | undefined
}

/** What becomes of a change for which there is no room. */
export type OnFull = 'reject' | 'write-through'

/** Settings of {@link WriteBehind}. */
export interface WriteBehindOptions<T> {
  /** Part of every key: instances of one name share rows and journals. */
  readonly name: string
  /** Into so many journals rows are spread; changed by `WriteBehindAdmin.changePartitions`. @defaultValue `12` */
  readonly partitions?: number | undefined
  /** What writes to the database: `postgresWriter`, or a function of your own. */
  readonly writeBatch: WriteBatch<T> | Writer<T>
  /**
   * So many lines of a journal are written at a time: at most, and fewer where the database is slow or fails. A number is
   * `{ max }`, and where it begins. @defaultValue `{ min: 10, max: 1000, targetMs: 250 }`, beginning at 100
   */
  readonly batchSize?: number | BatchSize | undefined
  /** How long a change waits at most for others to be written with it, in milliseconds. @defaultValue `1000` */
  readonly flushIntervalMs?: number | undefined
  /**
   * So many changes may wait in one partition; each partition by itself, so that a row that changes often has room while others
   * rest. @defaultValue `10_000`
   */
  readonly highWater?: number | undefined
  /**
   * So many bytes lines and rows that wait may take in one partition, beyond what Redis itself needs for each: up to 200 bytes, and
   * the id twice. Keys of increments are not among them. What is larger than that is accepted where nothing else waits.
   * @defaultValue 4 MiB
   */
  readonly maxBytes?: number | undefined
  /**
   * What becomes of a change that comes when `highWater` others wait: it is refused; or it is accepted all the same, in its order, and
   * resolves once it is in the database, or its deadline is over: so callers go as fast as the database. Then twice `highWater` is
   * the bound beyond which changes are refused. @defaultValue `'reject'`
   */
  readonly onFull?: OnFull | undefined
  /**
   * From which part of its `maxmemory` on a primary takes no more changes, from 0 to 1, so that others of its users have room still.
   * It is looked at every ten seconds, and the sooner the less room there is; 1 leaves it to the server, which refuses when it
   * is full. @defaultValue `0.9`
   */
  readonly maxMemoryRatio?: number | undefined
  /** What the database has of a row, for reads and counters of rows of which nothing waits. @defaultValue none */
  readonly load?: ((id: Id, context: LoadContext) => Promise<T | undefined>) | undefined
  /**
   * What a change waits for, up to half of its deadline, before it counts as accepted. `'fsync'` needs `appendonly yes` on every
   * primary, and where there is no WAITAOF (before 7.2) `appendfsync always`; looked for at first and every minute.
   * @defaultValue `'memory'`
   */
  readonly durability?: Durability | undefined
  /** How long a batch may take before it counts as failed. @defaultValue `30_000` */
  readonly writeTimeoutMs?: number | undefined
  /** For how long a process has a partition without a word, in milliseconds. @defaultValue `10_000` */
  readonly leaseMs?: number | undefined
  /** For how long an `idempotencyKey` is known, of its row and field, in milliseconds. @defaultValue `60_000` */
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
  readonly batchSize: PaceBounds
  readonly flushIntervalMs: number
  readonly highWater: number
  readonly maxBytes: number
  readonly load: WriteBehindOptions<T>['load']
  readonly onFull: OnFull
  readonly maxMemoryRatio: number
  readonly safety: Safety
  readonly writeTimeoutMs: number
  readonly leaseMs: number
  readonly idempotencyWindowMs: number
  readonly evictionCheck: EvictionCheck
  readonly report: (error: unknown) => void
}

export function settingsOf<T>(options: WriteBehindOptions<T>): Settings<T> {
  const { onError, load } = options
  const partitions = integer('partitions', options.partitions ?? 12, { max: 1024 })
  const writeTimeoutMs = integer('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { max: 600_000 })
  return {
    name: plainName('name', options.name),
    partitions,
    writer: writerOf(options.writeBatch),
    batchSize: paceBoundsOf(options.batchSize, writeTimeoutMs),
    flushIntervalMs: integer('flushIntervalMs', options.flushIntervalMs ?? 1000, { max: 3_600_000 }),
    highWater: integer('highWater', options.highWater ?? 10_000, { max: 1_000_000 }),
    maxBytes: integer('maxBytes', options.maxBytes ?? 4 * 2 ** 20),
    load,
    onFull: oneOf('onFull', options.onFull ?? 'reject', ['reject', 'write-through']),
    maxMemoryRatio: ratio('maxMemoryRatio', options.maxMemoryRatio ?? 0.9),
    safety: safetyOf(options.durability),
    writeTimeoutMs,
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

/** What that means for each journal. */
export function boundsOf({
  highWater,
  onFull,
  maxBytes,
  idempotencyWindowMs,
}: Pick<Settings<never>, 'highWater' | 'onFull' | 'maxBytes' | 'idempotencyWindowMs'>): JournalBounds {
  const lines = onFull === 'reject' ? highWater : 2 * highWater
  return { lines, highWater, bytes: maxBytes, markMs: idempotencyWindowMs }
}

function ratio(name: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw new ConfigurationError(`${name} must be a number above 0, at most 1, got ${shown(value)}`)
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
