/** Data for whoever has none: made up here, and says so wherever it is seen. */
import { sql, type Transaction } from 'kysely'
import type { Database, PlanName, Schema } from '../db/index.js'
import { rowId } from '../repositories/row-id.js'
import { COMMENTS, NAMES, REACTIONS, THREADS } from './texts.js'

/** The ids of entities, comments and users are the same in all of them: a key that forgets the tenant shows. */
const TENANTS: readonly { readonly id: string; readonly name: string; readonly plan: PlanName }[] = [
  { id: 'sample-atlas', name: 'Sample Atlas', plan: 'ENTERPRISE' },
  { id: 'sample-birch', name: 'Sample Birch', plan: 'STARTER' },
  { id: 'sample-cedar', name: 'Sample Cedar', plan: 'FREE' },
]

const COMMENTS_PER_THREAD = 24
const MINUTE_MS = 60_000

/**
 * Fills a database that has no tenants with three of them. Safe to run in many processes at once.
 *
 * @returns whether it did
 */
export async function ensureSample({ kysely }: Database): Promise<boolean> {
  return kysely.transaction().execute(async (transaction) => {
    // Nobody adds a tenant between the look and the filling.
    await sql`lock table tenants in share row exclusive mode`.execute(transaction)
    const some = await transaction.selectFrom('tenants').select('id').limit(1).executeTakeFirst()
    if (some !== undefined) return false
    for (const [index, tenant] of TENANTS.entries()) await fillTenant(transaction, tenant, index)
    return true
  })
}

async function fillTenant(
  transaction: Transaction<Schema>,
  tenant: (typeof TENANTS)[number],
  seed: number,
): Promise<void> {
  const tenant_id = tenant.id
  const began = Date.now() - THREADS.length * COMMENTS_PER_THREAD * MINUTE_MS
  const at = (minutes: number) => new Date(began + minutes * MINUTE_MS)
  const comments = THREADS.flatMap((_, thread) =>
    Array.from({ length: COMMENTS_PER_THREAD }, (__, nth) => commentOf(thread, nth, seed)),
  )
  await transaction.insertInto('tenants').values(tenant).execute()
  await transaction
    .insertInto('users')
    .values(NAMES.map((name) => ({ tenant_id, id: name.toLowerCase(), name })))
    .execute()
  await transaction
    .insertInto('entities')
    .values(
      THREADS.map((title, thread) => ({
        tenant_id,
        id: String(thread + 1),
        title: `${title} (sample)`,
        created_at: at(thread * COMMENTS_PER_THREAD),
      })),
    )
    .execute()
  for (const [thread] of THREADS.entries()) {
    await transaction
      .updateTable('entity_views')
      .set({ views: String(40 + ((thread * 7919 + seed * 104_729) % 2000)) })
      .where('tenant_id', '=', tenant_id)
      .where('entity_id', '=', String(thread + 1))
      .execute()
  }
  await transaction
    .insertInto('comments')
    .values(
      comments.map(({ row, minute, fans, edited, deleted }) => ({
        ...row,
        tenant_id,
        likes: fans.length,
        version: edited ? 2 : 1,
        created_at: at(minute),
        edited_at: edited ? at(minute + 3) : null,
        deleted_at: deleted ? at(minute + 5) : null,
      })),
    )
    .execute()
  await transaction
    .insertInto('likes')
    .values(
      comments.flatMap(({ row, fans, minute }) =>
        fans.map((user_id) => ({ tenant_id, comment_id: row.id, user_id, created_at: at(minute + 1) })),
      ),
    )
    .execute()
  await transaction
    .insertInto('reactions')
    .values(
      comments.flatMap(({ row, reactions }) =>
        reactions.map(({ user_id, kind }) => ({
          tenant_id,
          id: rowId(row.id, user_id),
          thread: rowId(row.entity_id),
          comment_id: row.id,
          user_id,
          kind,
        })),
      ),
    )
    .execute()
}

/** The same every time: spread by arithmetic, so that threads and tenants differ. */
function commentOf(thread: number, nth: number, seed: number) {
  const place = (thread * COMMENTS_PER_THREAD + nth) * 7 + seed * 5
  const idOf = (of: number) => `${thread + 1}-${of + 1}`
  const author = NAMES[place % NAMES.length] ?? ''
  const others = NAMES.filter((name) => name !== author).map((name) => name.toLowerCase())
  return {
    row: {
      id: idOf(nth),
      entity_id: String(thread + 1),
      // Half of all answer one that came before, which makes a tree of some depth.
      parent_id: nth % 2 === 0 || nth < 3 ? null : idOf(Math.floor((nth * 2) / 3) - (place % 2)),
      author_id: author.toLowerCase(),
      content: COMMENTS[place % COMMENTS.length] ?? '',
    },
    minute: thread * COMMENTS_PER_THREAD + nth,
    fans: others.slice(0, (place * 3) % (others.length + 1)),
    reactions:
      place % 3 === 0
        ? others.slice(0, 1 + (place % 4)).map((user_id, i) => ({
            user_id,
            kind: REACTIONS[(place + i * i) % REACTIONS.length] ?? '',
          }))
        : [],
    edited: place % 11 === 5,
    deleted: place % 19 === 18,
  }
}
