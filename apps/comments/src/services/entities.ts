import type { EntityRepository, ListedEntity, Position } from '../repositories/entities.js'
import type { Caches } from './caches.js'
import type { ViewService } from './views.js'

/** An entity in a list, with how often it was looked at. */
export interface ShownEntity extends ListedEntity {
  readonly views: number | undefined
}

/** A part of a list, and where the next one begins; `undefined` at the end. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: Position | undefined
}

/** What is commented on. */
export class EntityService {
  readonly #entities: EntityRepository
  readonly #caches: Caches
  readonly #views: ViewService

  constructor(entities: EntityRepository, caches: Caches, views: ViewService) {
    this.#entities = entities
    this.#caches = caches
    this.#views = views
  }

  async page(tenant: string, after: Position | undefined, limit: number): Promise<Page<ShownEntity>> {
    const { items, next } = pageOf(await this.#entities.page(tenant, after, limit + 1), limit)
    const views = await this.#views.ofMany(
      tenant,
      items.map(({ id }) => id),
    )
    return { items: items.map((item, i) => ({ ...item, views: views[i] })), next }
  }

  async put(tenant: string, id: string, title: string): Promise<{ readonly created: boolean }> {
    const outcome = await this.#entities.put(tenant, { id, title })
    await this.#caches.changed(tenant, [], [id])
    return outcome
  }
}

/** Cuts what was read one too far, to learn whether there is more. */
export function pageOf<T extends Position>(rows: readonly T[], limit: number): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const more = rows.length > limit && last !== undefined
  return { items, next: more ? { createdAt: last.createdAt, id: last.id } : undefined }
}
