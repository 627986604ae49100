import { basename } from 'node:path'
import { connect } from 'slotwise/ioredis'
import type { Config } from '../apps/comments/src/config.js'
import { type Database, migrate, openDatabase } from '../apps/comments/src/db/index.js'
import { importDump } from '../apps/comments/src/import/index.js'
import { ensureSample } from '../apps/comments/src/sample/index.js'
import { Caches } from '../apps/comments/src/services/caches.js'
import { Explained } from './packages.mjs'
import { bar, type Progress } from './progress.mjs'

/** Not all the same, so that the limiter has different things to say. */
const PLANS = ['STARTER', 'BUSINESS', 'ENTERPRISE'] as const

interface Filling {
  readonly dumps: readonly string[]
  readonly sample: boolean
}

/**
 * Brings the schema up to date, imports what the user named, and fills in the sample where there is nothing else.
 *
 * @returns what there is to look at, in a few words
 */
export async function fill(
  config: Config,
  { dumps, sample }: Filling,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const db = openDatabase(config.databaseUrl)
  try {
    await migrate(db)
    for (const [index, dump] of dumps.entries()) {
      const tenant = basename(dump)
      const step = progress.step(`Importing ${tenant}`)
      try {
        await importDump(db, dump, {
          tenant,
          plan: PLANS[index % PLANS.length],
          signal,
          onProgress: ({ share }) => step.update(bar(share)),
          onChanged: (comments, entities) => forget(config, tenant, comments, entities),
        })
        step.done(`${tenant} is imported`)
      } catch (error) {
        step.fail()
        throw error
      }
    }
    if (sample) await ensureSample(db)
    return await describe(db)
  } finally {
    await db.close()
  }
}

/** What Redis kept from an earlier start. */
async function forget(
  { redisNodes, redisPassword, namespace }: Config,
  tenant: string,
  comments: readonly string[],
  entities: readonly string[],
): Promise<void> {
  await using port = await connect({ nodes: redisNodes, namespace, password: redisPassword })
  await using caches = new Caches(port)
  const told = await caches.changed(tenant, comments, entities)
  if (!told) throw new Explained('Redis does not answer: look after its nodes, then start again.')
}

async function describe({ pool }: Database): Promise<string> {
  const { rows } = await pool.query<Record<'tenants' | 'entities' | 'comments', string>>(
    'select (select count(*) from tenants) tenants, (select count(*) from entities) entities, (select count(*) from comments) comments',
  )
  const { tenants = '0', entities = '0', comments = '0' } = rows[0] ?? {}
  const [many, threads, all] = [tenants, entities, comments].map((count) =>
    Number(count).toLocaleString('en'),
  )
  return `${many} tenants, ${threads} threads, ${all} comments`
}
