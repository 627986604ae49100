import type { PoolClient } from 'pg'
import type { PlanName } from '../db/index.js'

/** Who gets the rows. */
export interface Target {
  readonly tenant: string
  readonly name: string
  /** Of a tenant that there is not yet. */
  readonly plan: PlanName
}

/** How much came in; what the tenant had before is not counted. */
export interface Counts {
  readonly users: number
  readonly entities: number
  readonly comments: number
  readonly likes: number
  /** Answers and comments on posts that the dump does not have. */
  readonly homeless: number
}

/** The posts of a dump, and with it everything below, are known by ids of their own: questions as they are. */
const STEPS = {
  users: `
    insert into users (tenant_id, id, name)
    select tenant_id, id, author_name from import_rows where tenant_id = $1 and kind = 'user'
    on conflict do nothing`,
  // Whoever wrote, and whose account is gone or was never listed.
  strangers: `
    insert into users (tenant_id, id, name)
    select distinct on (author) tenant_id, author, coalesce(author_name, 'user ' || author)
    from import_rows where tenant_id = $1 and kind in ('answer', 'comment')
    on conflict do nothing`,
  // With its views; of those that are there already the service counts, and knows what waits to be written.
  entities: `
    with added as (
      insert into entities (tenant_id, id, title, created_at)
      select tenant_id, id, content, created_at from import_rows where tenant_id = $1 and kind = 'question'
      on conflict do nothing
      returning tenant_id, id
    ), viewed as (
      insert into entity_views (tenant_id, id, entity_id, views)
      select a.tenant_id, left(encode(sha256(convert_to(a.id, 'UTF8')), 'hex'), 32), a.id, r.score
      from added a join import_rows r on r.tenant_id = a.tenant_id and r.kind = 'question' and r.id = a.id
    )
    select count(*)::integer as count from added`,
  answers: `
    with added as (
      insert into comments (tenant_id, id, entity_id, author_id, content, created_at, edited_at)
      select r.tenant_id, 'a' || r.id, e.id, r.author, r.content, r.created_at, r.edited_at
      from import_rows r join entities e on e.tenant_id = r.tenant_id and e.id = r.parent
      where r.tenant_id = $1 and r.kind = 'answer'
      on conflict do nothing
      returning tenant_id, entity_id
    ), noted as (
      insert into import_changes select distinct tenant_id, entity_id, '' from added on conflict do nothing
    )
    select count(*)::integer as count from added`,
  comments: `
    with added as (
      insert into comments (tenant_id, id, entity_id, parent_id, author_id, content, created_at)
      select r.tenant_id, 'c' || r.id, coalesce(a.entity_id, e.id), a.id, r.author, r.content, r.created_at
      from import_rows r
      left join comments a on a.tenant_id = r.tenant_id and a.id = 'a' || r.parent
      left join entities e on e.tenant_id = r.tenant_id and e.id = r.parent
      where r.tenant_id = $1 and r.kind = 'comment' and (a.id is not null or e.id is not null)
      on conflict do nothing
      returning tenant_id, entity_id
    ), noted as (
      insert into import_changes select distinct tenant_id, entity_id, '' from added on conflict do nothing
    )
    select count(*)::integer as count from added`,
  // Votes come without the voter, and those on comments as a mere number.
  likes: `
    insert into likes (tenant_id, comment_id, user_id, created_at)
    select c.tenant_id, c.id, 'vote:' || v.id, v.created_at
    from import_rows v join comments c on c.tenant_id = v.tenant_id and c.id = 'a' || v.parent
    where v.tenant_id = $1 and v.kind = 'vote' and c.deleted_at is null
    union all
    select c.tenant_id, c.id, 'vote:' || r.id || ':' || n, r.created_at
    from import_rows r join comments c on c.tenant_id = r.tenant_id and c.id = 'c' || r.id,
      generate_series(1, r.score) n
    where r.tenant_id = $1 and r.kind = 'comment' and c.deleted_at is null
    on conflict do nothing`,
  counts: `
    with counted as (
      update comments c set likes = n.likes
      from (select comment_id, count(*)::integer as likes from likes where tenant_id = $1 group by comment_id) n
      where c.tenant_id = $1 and c.id = n.comment_id and c.likes <> n.likes
      returning c.tenant_id, c.entity_id, c.id
    )
    insert into import_changes select * from counted on conflict do nothing`,
  homeless: `
    select count(*)::integer as count from import_rows r
    where r.tenant_id = $1 and r.kind in ('answer', 'comment') and not exists (
      select from comments c where c.tenant_id = r.tenant_id and c.id = left(r.kind, 1) || r.id
    )`,
} as const

/**
 * Moves the rows to where they are seen, all of them or none. What the tenant has already stays as it is; what is
 * new joins it.
 */
export async function settle(
  client: PoolClient,
  { tenant, name, plan }: Target,
  onStep: (share: number) => void,
): Promise<Counts> {
  await client.query('begin')
  try {
    const made = await client.query(
      'insert into tenants (id, name, plan) values ($1, $2, $3) on conflict do nothing',
      [tenant, name, plan],
    )
    const counts = new Map<string, number>()
    const names = Object.keys(STEPS) as (keyof typeof STEPS)[]
    for (const [index, step] of names.entries()) {
      const { rows, rowCount } = await client.query<{ count?: number }>(STEPS[step], [tenant])
      counts.set(step, rows[0]?.count ?? rowCount ?? 0)
      onStep((index + 1) / names.length)
    }
    // Nobody can have read what was not there.
    if (made.rowCount === 1) await client.query('delete from import_changes where tenant_id = $1', [tenant])
    await client.query('delete from import_rows where tenant_id = $1', [tenant])
    await client.query('update imports set finished_at = now() where tenant_id = $1', [tenant])
    await client.query('commit')
    const count = (step: keyof typeof STEPS) => counts.get(step) ?? 0
    return {
      users: count('users') + count('strangers'),
      entities: count('entities'),
      comments: count('answers') + count('comments'),
      likes: count('likes'),
      homeless: count('homeless'),
    }
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}
