import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, PlanName } from './db/index.js'

export { PLAN_NAMES, type PlanName } from './db/index.js'

/** What {@link ensureTenant} makes sure of. */
export interface TenantSetup {
  readonly id: string
  readonly name: string
  readonly plan: PlanName
  /** An API key of this tenant, besides those it has. Only its hash is stored. */
  readonly key?: string | undefined
  /** What the key is for. */
  readonly label?: string | undefined
}

/** The key is another tenant's. */
export class KeyTakenError extends Error {
  override readonly name = 'KeyTakenError'
  readonly code = 'KEY_TAKEN'
}

/** What the keys are called that a demo hands out, and that end by themselves. */
export const DEMO_LABEL = 'demo'

/** How a key is stored and found. Keys are random, so a slow hash would protect nothing. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/**
 * Makes the tenant, or gives it this name and plan. Safe to repeat, and to run in many processes at once.
 *
 * @throws KeyTakenError and changes nothing
 */
export async function ensureTenant({ kysely }: Database, tenant: TenantSetup): Promise<void> {
  const { id, name, plan, key, label } = tenant
  await kysely.transaction().execute(async (transaction) => {
    await transaction
      .insertInto('tenants')
      .values({ id, name, plan })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ name, plan }))
      .execute()
    if (key === undefined) return
    const owner = await transaction
      .insertInto('api_keys')
      .values({ key_hash: hashKey(key), tenant_id: id, label: label ?? '' })
      .onConflict((conflict) =>
        // Changes nothing, and so gives back the row that is there.
        conflict.column('key_hash').doUpdateSet({ tenant_id: sql`api_keys.tenant_id` }),
      )
      .returning('tenant_id')
      .executeTakeFirstOrThrow()
    if (owner.tenant_id !== id) throw new KeyTakenError(`the key for tenant ${id} belongs to another tenant`)
  })
}

/**
 * Gives a tenant the key that is wanted, or, if it has none at all, one that is made here. Keys of the demo do not
 * count: they end by themselves.
 *
 * @returns the key if it was made here; nobody can read it later
 */
export async function ensureKey(
  db: Database,
  tenant: string,
  wanted: string | undefined,
): Promise<string | undefined> {
  const { name, plan, keys } = await db.kysely
    .selectFrom('tenants')
    .select(['name', 'plan'])
    .select((eb) =>
      eb
        .selectFrom('api_keys')
        .select((count) => count.fn.countAll<string>().as('keys'))
        .whereRef('tenant_id', '=', 'tenants.id')
        .where('label', '<>', DEMO_LABEL)
        .as('keys'),
    )
    .where('id', '=', tenant)
    .executeTakeFirstOrThrow()
  if (wanted === undefined && Number(keys) > 0) return undefined
  const key = wanted ?? `key_${randomBytes(24).toString('base64url')}`
  await ensureTenant(db, { id: tenant, name, plan, key })
  return wanted === undefined ? key : undefined
}
