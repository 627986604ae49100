import { createHash, randomUUID } from 'node:crypto'
import type { WriteBehind } from 'slotwise/writebehind'
import { notFound, problemOf } from '../problems.js'
import { rowId } from '../repositories/row-id.js'
import type { Viewed, ViewRepository } from '../repositories/views.js'
import { timed } from '../trace.js'
import { backlogFull, readAccepted } from './behind.js'
import type { Caches } from './caches.js'

/** How often entities were looked at: counted in Redis, written later. Who reads a count reads what is accepted. */
export class ViewService {
  readonly #behind: WriteBehind<Viewed>
  readonly #views: ViewRepository
  readonly #caches: Caches

  constructor(behind: WriteBehind<Viewed>, views: ViewRepository, caches: Caches) {
    this.#behind = behind
    this.#views = views
    this.#caches = caches
  }

  /** @param key of this one look: whoever sends it again within a minute is counted once */
  async add(tenant: string, entityId: string, key: string | undefined): Promise<number> {
    const row = rowId(entityId)
    // Keys are the callers' own: those of two tenants, or for two entities, may be the same.
    const idempotencyKey = key === undefined ? randomUUID() : digest([tenant, row, key])
    const counted = await timed('count', () =>
      this.#behind.forTenant(tenant).increment(row, 'views', 1, { idempotencyKey }),
    )
    if (!counted.accepted) throw backlogFull(counted.retryAfterMs)
    return counted.value
  }

  /** `undefined` while nobody knows: nothing waits of it, it is in no cache, and the database does not answer. */
  async of(tenant: string, entityId: string): Promise<number | undefined> {
    const row = rowId(entityId)
    const [count] = await this.#read(tenant, [row], async () => [
      await this.#caches.views(tenant, row, async () => {
        const found = await this.#views.find(tenant, row)
        if (found === undefined) throw notFound()
        return found
      }),
    ])
    return count
  }

  /** Of many, in their order, past the cache: where a list of them comes from the database too. */
  async ofMany(tenant: string, entityIds: readonly string[]): Promise<readonly (number | undefined)[]> {
    const rows = entityIds.map((id) => rowId(id))
    return await this.#read(tenant, rows, (some) => this.#views.findMany(tenant, some))
  }

  async #read(
    tenant: string,
    rows: readonly string[],
    load: (rows: readonly string[]) => Promise<readonly (Viewed | undefined)[]>,
  ): Promise<readonly (number | undefined)[]> {
    const loaded = async (some: readonly unknown[]) => {
      try {
        return await load(some.map(String))
      } catch (error) {
        if (problemOf(error).code !== 'DATABASE_UNAVAILABLE') throw error
        return some.map(() => undefined)
      }
    }
    const found = await readAccepted(this.#behind.forTenant(tenant), rows, loaded)
    return found.map((viewed) => viewed?.views)
  }
}

const digest = (parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
