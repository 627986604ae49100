import { ReplyError, UnexpectedReplyError } from '../errors.js'
import type { WireReply } from '../redis/resp.js'
import { fields, type Member } from './observe.js'
import { asked } from './slot-keys.js'
import type { SlotRange } from './view.js'

/** A migration that servers carry out by themselves, as the one that can be asked tells of it. */
export interface Migration {
  readonly id: string
  /** Ids of the nodes. */
  readonly source: string
  readonly target: string
  /** Such as `0-100 200-200`. */
  readonly slots: string
  /** The server's own word for how far it is. */
  readonly state: string
  readonly phase: 'running' | 'retrying' | 'done' | 'failed' | 'cancelled'
  /** Why it failed last, in the words of the server. */
  readonly reason: string
  /** How often the server began again by itself. */
  readonly retries: number
}

/** Two servers have atomic migration, under different commands. */
export interface MigrationDialect {
  readonly name: 'Redis' | 'Valkey'
  /** Which end starts, tells of and cancels a migration. */
  readonly askedOf: 'source' | 'target'
  /** Its id. Refusals are thrown as the server words them. */
  start(at: Member, to: string, ranges: readonly SlotRange[]): Promise<string>
  /** Migrations that this node was asked for, the finished ones that it remembers too. */
  list(at: Member): Promise<readonly Migration[]>
  /** Nothing where it has ended meanwhile. */
  cancel(at: Member, id: string): Promise<void>
  /** What any end says of it, in so far as it knows of it. */
  find(at: Member, id: string): Promise<Migration | undefined>
  /**
   * What a node is still removing, or taking, of migrations that ended or go on, or undefined. Keys that come the
   * classic way meanwhile could be taken for leftovers, and be removed with them.
   */
  busyWith(at: Member): Promise<string | undefined>
}

/**
 * Redis 8.4 or later. The target takes the slots, one task at a time, and tries again by itself, every second, until
 * it is cancelled. A cancelled task removes what had come.
 *
 * @see {@link https://redis.io/docs/latest/commands/cluster-migration/ | CLUSTER MIGRATION}
 */
const REDIS: MigrationDialect = {
  name: 'Redis',
  askedOf: 'target',
  async start(at, _to, ranges) {
    return String(await at.client.call(['CLUSTER', 'MIGRATION', 'IMPORT', ...ranges.flat()]))
  },
  async list(at) {
    const reply = await at.client.call(['CLUSTER', 'MIGRATION', 'STATUS', 'ALL'])
    return tasks(at, reply).flatMap(({ operation, task }) => (operation === 'import' ? [task] : []))
  },
  async cancel(at, id) {
    await at.client.call(['CLUSTER', 'MIGRATION', 'CANCEL', 'ID', id])
  },
  async find(at, id) {
    const reply = await at.client.call(['CLUSTER', 'MIGRATION', 'STATUS', 'ID', id])
    return tasks(at, reply)[0]?.task
  },
  async busyWith(at) {
    const info = fields(String(await at.client.call(['CLUSTER', 'INFO'])))
    const removals = Number(info.get('cluster_slot_migration_active_trim_running') ?? 0)
    return removals === 0 ? undefined : `removing keys of slots that it has no more (${removals})`
  },
}

/**
 * Valkey 9 or later. The source gives the slots, in as many jobs at a time as are asked for, each tried once. The
 * command does not name the job that it began. Cancelling ends every job of the node that is asked.
 *
 * @see {@link https://valkey.io/commands/cluster-migrateslots/ | CLUSTER MIGRATESLOTS}
 * @see {@link https://valkey.io/commands/cluster-getslotmigrations/ | CLUSTER GETSLOTMIGRATIONS}
 * @see {@link https://valkey.io/commands/cluster-cancelslotmigrations/ | CLUSTER CANCELSLOTMIGRATIONS}
 */
const VALKEY: MigrationDialect = {
  name: 'Valkey',
  askedOf: 'source',
  async start(at, to, ranges) {
    const list = ['CLUSTER', 'GETSLOTMIGRATIONS'] as const
    const command = ['CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...ranges.flat(), 'NODE', to] as const
    // Together, so that what another begins at the same time is told apart by what stood there before.
    const [before = null, , after = null] = await asked(at, [list, command, list])
    const known = new Set(jobs(at, before).map(({ task }) => task.id))
    const wanted = ranges.map(([first, last]) => `${first}-${last}`).join(' ')
    const begun = jobs(at, after).find(({ operation, task }) => {
      return operation === 'EXPORT' && !known.has(task.id) && task.target === to && task.slots === wanted
    })
    if (begun !== undefined) return begun.task.id
    throw new UnexpectedReplyError(`${at.client.node} has begun to migrate ${wanted}, and does not list it`)
  },
  async list(at) {
    const reply = await at.client.call(['CLUSTER', 'GETSLOTMIGRATIONS'])
    return jobs(at, reply).flatMap(({ operation, task }) => (operation === 'EXPORT' ? [task] : []))
  },
  async cancel(at) {
    await at.client.call(['CLUSTER', 'CANCELSLOTMIGRATIONS']).catch((error: unknown) => {
      if (error instanceof ReplyError && /No migrations ongoing/i.test(error.message)) return
      throw error
    })
  },
  async find(at, id) {
    const reply = await at.client.call(['CLUSTER', 'GETSLOTMIGRATIONS'])
    return jobs(at, reply).find(({ task }) => task.id === id)?.task
  },
  async busyWith(at) {
    const reply = await at.client.call(['CLUSTER', 'GETSLOTMIGRATIONS'])
    const open = jobs(at, reply).find(
      ({ operation, task }) => operation === 'IMPORT' && task.phase === 'running',
    )
    return open === undefined ? undefined : `importing slots ${open.task.slots} (${open.task.state})`
  },
}

/** What the ends of a move have in common, or undefined: then nothing but the classic way is known to work. */
export async function dialectOf(members: readonly Member[]): Promise<MigrationDialect | undefined> {
  const known = await Promise.all(members.map(dialectsOf))
  return [REDIS, VALKEY].find((dialect) => known.every((some) => some.includes(dialect)))
}

/** Asked of the server itself: versions are no proof, of forks and of proxies least of all. */
async function dialectsOf({ client }: Member): Promise<readonly MigrationDialect[]> {
  const names = ['cluster|migration', 'cluster|migrateslots'] as const
  const [reply] = await client.pipeline([['COMMAND', 'INFO', ...names]])
  // Whoever may not ask does not know.
  if (!Array.isArray(reply)) return []
  return [REDIS, VALKEY].filter((_, i) => Array.isArray(reply[i]) && reply[i].length > 0)
}

/** Who may not look finds nothing, and begins nothing either. */
export async function unlessForbidden<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ReplyError && error.replyCode === 'NOPERM') return undefined
    throw error
  }
}

const REDIS_PHASES: Readonly<Record<string, Migration['phase']>> = {
  completed: 'done',
  canceled: 'cancelled',
  failed: 'retrying',
}

const VALKEY_PHASES: Readonly<Record<string, Migration['phase']>> = {
  success: 'done',
  cancelled: 'cancelled',
  failed: 'failed',
}

function tasks(at: Member, reply: WireReply) {
  return entries(at, 'CLUSTER MIGRATION STATUS', reply).map((entry) => ({
    operation: entry.get('operation'),
    task: {
      id: entry.get('id') ?? '',
      source: entry.get('source') ?? '',
      target: entry.get('dest') ?? '',
      slots: entry.get('slots') ?? '',
      state: entry.get('state') ?? '',
      // The source does not begin again: the target does.
      phase: REDIS_PHASES[entry.get('state') ?? ''] ?? 'running',
      reason: entry.get('last_error') ?? '',
      retries: Number(entry.get('retries') ?? 0),
    } satisfies Migration,
  }))
}

function jobs(at: Member, reply: WireReply) {
  return entries(at, 'CLUSTER GETSLOTMIGRATIONS', reply).map((entry) => ({
    operation: entry.get('operation'),
    task: {
      id: entry.get('name') ?? '',
      source: entry.get('source_node') ?? '',
      target: entry.get('target_node') ?? '',
      slots: entry.get('slot_ranges') ?? '',
      state: entry.get('state') ?? '',
      phase: VALKEY_PHASES[entry.get('state') ?? ''] ?? 'running',
      reason: entry.get('message') ?? '',
      retries: 0,
    } satisfies Migration,
  }))
}

/** A list of maps, which RESP2 sends as lists of names and values in turn. */
function entries({ client }: Member, command: string, reply: WireReply): ReadonlyMap<string, string>[] {
  if (Array.isArray(reply) && reply.every(Array.isArray)) {
    return reply.map((flat) => {
      const words = (flat as readonly WireReply[]).map(String)
      return new Map(words.flatMap((name, i) => (i % 2 === 0 ? [[name, words[i + 1] ?? ''] as const] : [])))
    })
  }
  throw new UnexpectedReplyError(`${client.node} answered ${command} with ${String(reply)}`)
}
