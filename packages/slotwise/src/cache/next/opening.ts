import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClosedError, ConfigurationError, RedisUnavailableError } from '../../errors.js'
import type { RedisPort } from '../../redis/port.js'
import { Budget } from '../budget.js'
import type { NextCacheRedis, NextSettings } from './options.js'
import { type Name, REST_MS, Store } from './store.js'

/** For so long what cannot do without is prepared to wait for the connection. */
const CONNECT_MS = 5000

/** What handlers share: a connection that is made when it is first needed, and the build that entries are of. */
export class Opening {
  readonly settings: NextSettings
  readonly #redis: NextCacheRedis
  #opening: Promise<Store | undefined> | undefined
  #store: Store | undefined
  #restsUntil = 0
  #failure: unknown
  /** Made here, so closed here. */
  #own: RedisPort | undefined
  /** Where Next has said that the server's part of the build is. */
  #serverFolder: string | undefined
  readonly #buildIds = new Map<string, Promise<string | undefined>>()
  #isClosed = false

  constructor(redis: NextCacheRedis, settings: NextSettings) {
    this.#redis = redis
    this.settings = settings
  }

  /** `undefined` in `next build`, after the end, and while Redis cannot be reached: within the budget in any case. */
  async store(): Promise<Store | undefined> {
    if (this.#isClosed || isBuilding()) return undefined
    if (this.#store !== undefined) return this.#store
    // A page with many entries waits once, as it does for an open connection that hangs.
    if (performance.now() < this.#restsUntil) return undefined
    const store = await new Budget(this.settings.budgetMs).await(this.#open(), undefined)
    if (store === undefined) this.#restsUntil = performance.now() + REST_MS
    return store
  }

  /** What `next build` called what it made, or the option. `undefined` with a word to `onError` where there is none. */
  buildId(): Promise<string | undefined> {
    const folder = this.#serverFolder ?? join(process.cwd(), '.next', 'server')
    const found = this.#buildIds.get(folder) ?? this.#findBuildId(folder)
    this.#buildIds.set(folder, found)
    return found
  }

  /** Next tells one of its handlers where the build is, and the other not. */
  servedFrom(serverFolder: string | undefined): void {
    this.#serverFolder = serverFolder ?? this.#serverFolder
  }

  /** @throws InvalidationPendingError Redis does not answer; RedisUnavailableError there is no connection */
  async change(tags: readonly string[], staleMs: number | undefined): Promise<void> {
    if (isBuilding() || tags.length === 0) return
    const store = await this.#connected()
    await store.change(tags, staleMs)
  }

  /** @throws RedisUnavailableError, InvalidationPendingError */
  async clear(buildId: string | undefined): Promise<void> {
    const of = buildId ?? (await this.buildId())
    if (of === undefined) return
    const store = await this.#connected()
    await store.clear(of)
  }

  /** A connection that is still being made is closed when it is there. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#store?.close()
    await this.#own?.close()
  }

  async #connected(): Promise<Store> {
    if (this.#isClosed) throw new ClosedError('this cache has been closed')
    const store = await new Budget(CONNECT_MS).await(this.#open(), undefined)
    if (store !== undefined) return store
    throw new RedisUnavailableError('there is no connection to Redis', { cause: this.#failure })
  }

  #open(): Promise<Store | undefined> {
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#failure = error
      this.#tell(error)
      setTimeout(() => {
        this.#opening = undefined
      }, REST_MS).unref()
      return undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Store> {
    const port = typeof this.#redis === 'function' ? await this.#redis() : this.#redis
    if (typeof this.#redis === 'function') {
      if (this.#isClosed) await port.close()
      this.#own = port
    }
    this.#store = new Store(port, this.settings)
    return this.#store
  }

  async #findBuildId(serverFolder: string): Promise<string | undefined> {
    const { buildId } = this.settings
    if (buildId !== undefined) return buildId
    if (process.env['NODE_ENV'] === 'development') return 'development'
    const file = join(serverFolder, '..', 'BUILD_ID')
    try {
      return (await readFile(file, 'utf8')).trim()
    } catch (cause) {
      this.#tell(
        new ConfigurationError(`nothing is cached: there is no build at ${file}; say buildId`, { cause }),
      )
      return undefined
    }
  }

  #tell(error: unknown): void {
    const { onError } = this.settings.shelves
    try {
      onError?.(error instanceof Error ? error : new Error(String(error)), { operation: 'read', key: '' })
    } catch {
      // A listener that throws must not break a page.
    }
  }
}

/** `next build` renders with nothing cached, and leaves what it renders to the files of the build. */
const isBuilding = (): boolean => process.env['NEXT_PHASE'] === 'phase-production-build'

/** Which entry of the build that is served; `undefined` where that is not known. */
export async function nameOf(opening: Opening, key: string, kind: Name['kind']): Promise<Name | undefined> {
  const buildId = await opening.buildId()
  return buildId === undefined ? undefined : { buildId, kind, key }
}
