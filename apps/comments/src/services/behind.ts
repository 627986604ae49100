import { SlotwiseError } from 'slotwise'
import type { RedisPort } from 'slotwise/redis'
import {
  type Lag,
  type PostgresPool,
  postgresWriter,
  type ReadManyOptions,
  type Row,
  WriteBehind,
  type Writer,
} from 'slotwise/writebehind'
import { notFound, Problem, problemOf } from '../problems.js'
import type { Reaction } from '../repositories/reactions.js'
import type { Viewed, ViewRepository } from '../repositories/views.js'
import { timed } from '../trace.js'
import type { Caches } from './caches.js'

/** What is written behind, and what it needs. */
export interface BehindParts {
  readonly port: RedisPort
  /** Connections of its own: neither do requests wait for what is written later, nor that for them. */
  readonly pool: PostgresPool
  readonly views: ViewRepository
  readonly caches: Caches
  /** Whether primaries that may evict journals are refused, only told of, or not asked, where `CONFIG` is forbidden. */
  readonly evictionCheck: 'refuse' | 'warn' | 'off'
  readonly onError: (error: unknown) => void
}

/** Fewer than the library's default: each asks once a second, in every process. */
const PARTITIONS = 8
/** Within two of these another process goes on where one has died. */
const LEASE_MS = 5000
/** How long a process that ends waits for what is accepted to be written. The rest is the others', or the next one's. */
const FAREWELL_MS = 500
/** How long a read waits for what is accepted before it shows what is written. */
export const LOOK_MS = 500
const LAG_MS = 1000

/** Counts of views, by the hash of their entity, and reactions, by those of their entity and of comment and user. */
export class Behind {
  readonly views: WriteBehind<Viewed>
  readonly reactions: WriteBehind<Reaction>

  constructor({ port, pool, views, caches, evictionCheck, onError }: BehindParts) {
    const common = { partitions: PARTITIONS, leaseMs: LEASE_MS, evictionCheck, onError }
    this.views = new WriteBehind<Viewed>(port, {
      ...common,
      name: 'views',
      load: (row, { tenant = '' }) => begun(tenant, String(row), views, caches),
      writeBatch: forgetting(
        postgresWriter<Viewed>(pool, {
          name: 'views',
          table: 'entity_views',
          key: ({ id, tenant }) => ({ tenant_id: tenant, id }),
          columns: ({ value: { entityId, views: count } }) => ({ entity_id: entityId, views: count }),
        }),
        (rows, signal, write) => caches.writeBehind('views', entriesOf(rows), signal, write),
      ),
    })
    this.reactions = new WriteBehind<Reaction>(port, {
      ...common,
      name: 'reactions',
      writeBatch: forgetting(
        postgresWriter<Reaction>(pool, {
          name: 'reactions',
          table: 'reactions',
          key: ({ id, tenant }) => ({ tenant_id: tenant, id: id[1] }),
          columns: ({ id, value: { commentId, userId, kind } }) => ({
            thread: id[0],
            comment_id: commentId,
            user_id: userId,
            kind,
          }),
        }),
        (rows, signal, write) => caches.writeBehind('reactions', entriesOf(rows), signal, write),
      ),
    })
  }

  /** @throws ConfigurationError journals may be evicted, or there are some with another number of partitions */
  async start(): Promise<void> {
    await Promise.all([this.views.ready(), this.reactions.ready()])
    this.views.start()
    this.reactions.start()
  }

  /** What waits, of both. */
  async lag(): Promise<Lag> {
    const [one, other] = await Promise.all(
      [this.views, this.reactions].map((each) => each.lag({ deadlineMs: LAG_MS })),
    )
    if (one === undefined || other === undefined) throw new Error('nobody says what waits')
    return {
      entries: one.entries + other.entries,
      bytes: one.bytes + other.bytes,
      ms: Math.max(one.ms, other.ms),
    }
  }

  /** Has written what can be written soon. What is left stays in the journals, for whoever goes on. */
  async close(): Promise<void> {
    const soon = AbortSignal.timeout(FAREWELL_MS)
    const both = [this.views, this.reactions]
    await Promise.allSettled(both.map((each) => each.drain({ signal: soon })))
    await Promise.all(both.map((each) => each.close()))
  }
}

/**
 * Rows as they are accepted; as they are written while Redis does not answer.
 *
 * @param load is told whether it is known that nothing waits of the rows: not where Redis did not say so
 */
export async function readAccepted<T>(
  behind: Pick<WriteBehind<T>, 'readMany'>,
  ids: readonly (string | readonly string[])[],
  load: (
    ids: readonly (string | readonly unknown[])[],
    areSettled: boolean,
  ) => Promise<readonly (T | undefined)[]>,
): Promise<readonly (T | undefined)[]> {
  if (ids.length === 0) return []
  try {
    const options: ReadManyOptions<T> = { load: (some) => load(some, true), deadlineMs: LOOK_MS }
    return await timed('accepted', () => behind.readMany(ids, options))
  } catch (error) {
    if (!(error instanceof SlotwiseError)) throw error
    return await load(ids, false)
  }
}

/** So much waits that there is no room for more: the database is away for long, or slower than its users. */
export const backlogFull = (retryAfterMs: number): Problem =>
  new Problem('BACKLOG_FULL', 'So much waits to be written that nothing is accepted. Try again.', {
    retryAfterMs,
  })

/**
 * What a count is where nothing waits of it. While the database does not answer, what the cache has: it was told of everything that
 * was written since.
 */
async function begun(tenant: string, row: string, views: ViewRepository, caches: Caches): Promise<Viewed> {
  try {
    const found = await views.find(tenant, row)
    if (found !== undefined) return found
  } catch (error) {
    if (problemOf(error).code !== 'DATABASE_UNAVAILABLE') throw error
    const known = await caches.knownViews(tenant, row)
    if (known === undefined) throw error
    return known
  }
  throw notFound()
}

type Cover<T> = (
  rows: readonly Row<T>[],
  signal: AbortSignal,
  write: (signal: AbortSignal) => Promise<void>,
) => Promise<void>

/** A writer whose rows wait until the caches have forgotten what was there before. */
function forgetting<T>(writer: Writer<T>, cover: Cover<T>): Writer<T> {
  return {
    ...writer,
    write: (rows, context) =>
      cover(rows, context.signal, (signal) => writer.write(rows, { ...context, signal })),
  }
}

/** The entries of the cache that show rows, by tenant: the first part of a row's id, or the only one. */
function entriesOf<T>(rows: readonly Row<T>[]): ReadonlyMap<string, readonly string[]> {
  const ids = new Map<string, Set<string>>()
  for (const { id, tenant = '' } of rows) {
    const some = ids.get(tenant) ?? new Set()
    ids.set(tenant, some.add(typeof id === 'string' ? id : (id[0] ?? '')))
  }
  return new Map([...ids].map(([tenant, some]) => [tenant, [...some]]))
}
