import { ClosedError } from '../errors.js'
import { everyKey } from '../invalidation/everything.js'
import { distinct } from '../invalidation/tags/paths.js'
import type { TagStore } from '../invalidation/tags/tag-store.js'
import { type Id, type Key, keyMaker, keysOf } from '../keys.js'
import type { CallOptions } from '../options.js'
import { deadlineOf } from './call-options.js'
import type { Instance } from './instance.js'

/** Where the entries of one view lie: those of one tenant, or of a cache without tenants. */
export class Scope {
  readonly instance: Instance
  readonly #tenant: string | undefined
  /** Made when first asked for: a tenant that is none is the first call's error. */
  #keyOf: ((id: Id) => Key) | undefined

  constructor(instance: Instance, tenant: string | undefined) {
    this.instance = instance
    this.#tenant = tenant
  }

  /** @throws ClosedError the cache is closed, so that no operation gets as far as to Redis */
  key(id: Id): Key {
    if (this.instance.closed) throw new ClosedError('the cache is closed')
    this.#keyOf ??= keyMaker(this.#space())
    return this.#keyOf(id)
  }

  keys(ids: readonly Id[]): Key[] {
    return ids.map((id) => this.key(id))
  }

  /** Tags of this view, to be changed: each of them, and not what is above. */
  tags(tags: readonly string[]): { readonly store: TagStore; readonly paths: readonly string[] } {
    return { store: this.instance.tags.beside(this.key('')), paths: distinct(tags) }
  }

  /** Keys of everything that is there, in batches. */
  every(options: CallOptions): AsyncGenerator<readonly Key[]> {
    this.key('')
    const { signal } = options
    return everyKey(this.instance.port, keysOf(this.#space()), {
      signal,
      deadlineMs: deadlineOf(options) ?? 60_000,
    })
  }

  #space() {
    const { port, settings } = this.instance
    return { namespace: port.namespace, pattern: 'cache', name: settings.name, tenant: this.#tenant }
  }
}
