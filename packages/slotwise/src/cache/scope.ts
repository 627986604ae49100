import { ClosedError } from '../errors.js'
import { everyKey } from '../invalidation/everything.js'
import { type Id, type Key, keyOf, keysOf } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { Instance } from './instance.js'

/** Where the entries of one view lie: those of one tenant, or of a cache without tenants. */
export class Scope {
  readonly instance: Instance
  readonly #tenant: string | undefined

  constructor(instance: Instance, tenant: string | undefined) {
    this.instance = instance
    this.#tenant = tenant
  }

  /** @throws ClosedError the cache is closed, so that no operation gets as far as to Redis */
  key(id: Id): Key {
    if (this.instance.closed) throw new ClosedError('the cache is closed')
    return keyOf(this.#space(), id)
  }

  keys(ids: readonly Id[]): Key[] {
    return ids.map((id) => this.key(id))
  }

  /** Keys of everything that is there, in batches. */
  every({ signal, deadlineMs = 60_000 }: CallOptions): AsyncGenerator<readonly Key[]> {
    this.key('')
    return everyKey(this.instance.port, keysOf(this.#space()), { signal, deadlineMs })
  }

  #space() {
    const { port, settings } = this.instance
    return { namespace: port.namespace, pattern: 'cache', name: settings.name, tenant: this.#tenant }
  }
}
