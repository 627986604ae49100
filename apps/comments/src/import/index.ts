/** Brings dumps of Stack Exchange sites into the service: a site is a tenant, a question an entity. */
import type { PoolClient } from 'pg'
import type { Database, PlanName } from '../db/index.js'
import { type Dump, DumpError, type DumpFile, openDump } from './dump.js'
import { type DumpRecord, recordOf } from './records.js'
import { readRows } from './rows.js'
import { type Counts, settle } from './settle.js'
import { type Earlier, Stage } from './stage.js'

export { DumpError, findDumps } from './dump.js'

/** Settings of {@link importDump}. */
export interface ImportOptions {
  /** Id and name of the tenant. It appears with its data, when all of it is there. */
  readonly tenant: string
  /** Of a tenant that there is not yet. @defaultValue `'BUSINESS'` */
  readonly plan?: PlanName | undefined
  /** How many rows are sent to Postgres at once, and are not read again after an interruption. @defaultValue `1000` */
  readonly batchRows?: number
  readonly onProgress?: (progress: ImportProgress) => void
  /**
   * Told what changed of a tenant that was there before, for whoever keeps copies. What it was not told of, because
   * it rejected or the process ended, the next import into the tenant tells it first.
   */
  readonly onChanged?: (commentIds: readonly string[], entityIds: readonly string[]) => Promise<unknown>
  /** Ends the import between two batches; the same call later goes on from there. */
  readonly signal?: AbortSignal
}

export interface ImportProgress {
  /** Of the whole work, from 0 to 1. */
  readonly share: number
  /** A file, or `undefined` while what was read is put in its place. */
  readonly file: string | undefined
  /** Rows of the file so far. */
  readonly rows: number
}

/** What an import did. */
export interface ImportResult extends Counts {
  /** Whether it went on where an earlier one had been interrupted, or found this very dump imported. */
  readonly earlier: Earlier
}

/** Somebody else is at it. */
export class ImportRunningError extends Error {
  override readonly name = 'ImportRunningError'
  readonly code = 'IMPORT_RUNNING'
}

/** Any number, the same in every process that imports. */
const LOCK = 1_093_725_486
/** How much of the work is reading. */
const READING = 0.9
const NOTHING: Counts = { users: 0, entities: 0, comments: 0, likes: 0, homeless: 0 }

/**
 * Reads a dump and shows it as a tenant's data, all of it or none: rows gather out of sight, in batches, and one
 * transaction puts them in their place. Interrupted however, it goes on after the last batch. To a tenant that has
 * data, it adds what is new and changes nothing that is there, except that likes may become more. Ids are the
 * dump's: questions as they are, answers with an `a` in front, comments with a `c`.
 *
 * @param dir a folder with `Users`, `Posts`, `Comments` and `Votes`, each `.xml` or `.xml.gz`
 * @throws DumpError when something about the dump is wrong; then nothing of it stays
 * @throws ImportRunningError when another import into the tenant is going on
 */
export async function importDump(
  { pool }: Database,
  dir: string,
  options: ImportOptions,
): Promise<ImportResult> {
  const { tenant, signal } = options
  const dump = await openDump(dir)
  signal?.throwIfAborted()
  const client = await pool.connect()
  // Whoever waits for a query is told; between two, nobody would listen.
  const onError = () => {}
  client.on('error', onError)
  try {
    // Held by the session: it ends with the process, however the process ends.
    const lock = [LOCK, tenant]
    const { rows } = await client.query<{ ours: boolean }>(
      'select pg_try_advisory_lock($1, hashtext($2)) ours',
      lock,
    )
    if (rows[0]?.ours !== true) throw new ImportRunningError(`another import into ${tenant} is going on`)
    try {
      await tell(client, options)
      const stage = new Stage(client, tenant)
      const earlier = await stage.open(dump)
      if (earlier === 'finished') return { ...NOTHING, earlier }
      await read(stage, dump, options)
      signal?.throwIfAborted()
      const target = { tenant, name: tenant, plan: options.plan ?? 'BUSINESS' }
      const counts = await settle(client, target, (share) => {
        options.onProgress?.({ share: READING + (1 - READING) * share, file: undefined, rows: 0 })
        signal?.throwIfAborted()
      })
      await tell(client, options)
      return { ...counts, earlier }
    } finally {
      await client.query('select pg_advisory_unlock($1, hashtext($2))', lock).catch(() => {})
    }
  } finally {
    client.off('error', onError)
    client.release()
  }
}

async function read(stage: Stage, dump: Dump, options: ImportOptions): Promise<void> {
  const total = dump.files.reduce((sum, { bytes }) => sum + bytes, 0)
  let before = 0
  try {
    for (const file of dump.files) {
      await readFile(stage, file, options, (bytes) => (READING * (before + bytes)) / Math.max(1, total))
      before += file.bytes
    }
    for (const file of dump.files) await stage.checkIds(file)
  } catch (error) {
    // The dump has to change first, and then it is another one.
    if (error instanceof DumpError) await stage.drop()
    throw error
  }
}

async function readFile(
  stage: Stage,
  file: DumpFile,
  { signal, onProgress, batchRows = 1000 }: ImportOptions,
  shareAt: (bytes: number) => number,
): Promise<void> {
  const reached = await stage.reached(file)
  let bytesRead = 0
  let batch: DumpRecord[] = []
  const onBytes = (bytes: number) => (bytesRead = bytes)
  const send = async () => {
    if (batch.length > 0) await stage.add(file, batch)
    batch = []
  }
  for await (const rows of readRows(file, { onBytes })) {
    signal?.throwIfAborted()
    for (const row of rows) {
      if (row.number <= reached) continue
      const record = recordOf(file, row)
      if (record !== undefined) batch.push(record)
      if (batch.length >= batchRows) await send()
    }
    onProgress?.({ share: shareAt(bytesRead), file: file.name, rows: rows.at(-1)?.number ?? 0 })
  }
  await send()
}

/** At least once: what was told is crossed off after it was told. */
async function tell(client: PoolClient, { tenant, onChanged }: ImportOptions): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ entity: string; comment: string }>(
      'select entity_id as entity, comment_id as comment from import_changes where tenant_id = $1 order by 1, 2 limit 500',
      [tenant],
    )
    if (rows.length === 0) return
    const entities = [...new Set(rows.map(({ entity }) => entity))]
    const comments = rows.map(({ comment }) => comment).filter((id) => id !== '')
    await onChanged?.(comments, entities)
    await client.query(
      `delete from import_changes where tenant_id = $1
       and (entity_id, comment_id) in (select * from unnest($2::text[], $3::text[]))`,
      [tenant, rows.map(({ entity }) => entity), rows.map(({ comment }) => comment)],
    )
  }
}
