import { randomBytes } from 'node:crypto'
import { Problem } from '../problems.js'
import type { Tenant, TenantRepository } from '../repositories/tenants.js'
import { DEMO_LABEL, hashKey } from '../tenants.js'
import type { Caches } from './caches.js'

const DEMO_HOURS = 24

/** Who calls: the tenant of an API key. */
export class TenantService {
  readonly #tenants: TenantRepository
  readonly #caches: Caches
  readonly #demoKeys = new Map<string, Promise<string>>()

  constructor(tenants: TenantRepository, caches: Caches) {
    this.#tenants = tenants
    this.#caches = caches
  }

  /**
   * @throws Problem the same whatever is wrong with the key. An unknown key is not kept in the cache, where
   *   anybody could fill it.
   */
  async authenticate(key: string): Promise<Tenant> {
    const hash = hashKey(key)
    return this.#caches.tenant(hash.toString('hex'), async () => {
      const tenant = await this.#tenants.findByKeyHash(hash)
      if (tenant === undefined) throw unauthorized()
      return tenant
    })
  }

  /** Takes everything that the cache has of a tenant away: after its data was changed past this service, say. */
  async purge(tenant: string): Promise<void> {
    await this.#caches.purge(tenant)
  }

  /** Every tenant with a key that works for a day. Only hashes are stored, so this process makes keys of its own. */
  async demo(): Promise<readonly (Tenant & { readonly key: string })[]> {
    const tenants = await this.#tenants.all()
    return Promise.all(tenants.map(async (tenant) => ({ ...tenant, key: await this.#demoKey(tenant.id) })))
  }

  async #demoKey(tenant: string): Promise<string> {
    const known = this.#demoKeys.get(tenant)
    if (known !== undefined) return known
    const made = this.#makeDemoKey(tenant)
    this.#demoKeys.set(tenant, made)
    // The next visitor tries again; so does one who comes when the key has run out.
    made.catch(() => this.#demoKeys.delete(tenant))
    setTimeout(() => this.#demoKeys.delete(tenant), (DEMO_HOURS / 2) * 3_600_000).unref()
    return made
  }

  async #makeDemoKey(tenant: string): Promise<string> {
    const key = `demo_${randomBytes(24).toString('base64url')}`
    await this.#tenants.dropKeys(DEMO_LABEL, DEMO_HOURS)
    await this.#tenants.addKey(tenant, hashKey(key), DEMO_LABEL)
    return key
  }
}

export const unauthorized = (): Problem =>
  new Problem('UNAUTHORIZED', 'Send an API key that is valid: Authorization: Bearer <key>.')
