import type { Database, PlanName } from '../db/index.js'

export interface Tenant {
  readonly id: string
  readonly name: string
  readonly plan: PlanName
}

export class TenantRepository {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async findByKeyHash(hash: Buffer): Promise<Tenant | undefined> {
    return this.#db.kysely
      .selectFrom('api_keys')
      .innerJoin('tenants', 'tenants.id', 'api_keys.tenant_id')
      .select(['tenants.id', 'tenants.name', 'tenants.plan'])
      .where('api_keys.key_hash', '=', hash)
      .executeTakeFirst()
  }

  async all(): Promise<readonly Tenant[]> {
    return this.#db.kysely.selectFrom('tenants').select(['id', 'name', 'plan']).orderBy('id').execute()
  }

  async addKey(tenant: string, hash: Buffer, label: string): Promise<void> {
    await this.#db.kysely
      .insertInto('api_keys')
      .values({ key_hash: hash, tenant_id: tenant, label })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  /** Takes back the keys of a label that are older than `hours`. */
  async dropKeys(label: string, hours: number): Promise<void> {
    await this.#db.kysely
      .deleteFrom('api_keys')
      .where('label', '=', label)
      .where('created_at', '<', new Date(Date.now() - hours * 3_600_000))
      .execute()
  }

  /** Rejects if Postgres does not answer. */
  async ping(): Promise<void> {
    await this.#db.kysely.selectNoFrom((eb) => eb.lit(1).as('one')).execute()
  }
}
