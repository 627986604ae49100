import type { RedisPort } from '../../redis/port.js'
import type { AdapterOptions } from '../shelf/options.js'
import { type Place, Shelves } from '../shelf/shelves.js'

/** Settings of a driver. */
export interface UnstorageDriverOptions extends AdapterOptions {
  /**
   * Keeps what one driver stores apart from what others of the same `name` do: it is no part of the keys that unstorage
   * sees. @defaultValue none
   */
  readonly base?: string | undefined
}

/** What may come with a call; whatever else there is, is left alone. */
interface Transaction {
  /** In **seconds**, as everywhere in unstorage. */
  readonly ttl?: number | undefined
  readonly [option: string]: unknown
}

interface Item {
  readonly key: string
  readonly options?: Transaction | undefined
}

/** What may come back. */
type Stored = string | object | number | boolean | null

/**
 * What unstorage 1 asks of a driver; it calls the functions without `this`. There is no `watch`: unstorage then tells of
 * the changes of its own process.
 */
export interface UnstorageDriver {
  readonly name: string
  readonly flags: { readonly ttl: true }
  readonly options: UnstorageDriverOptions
  readonly getInstance: () => RedisPort
  readonly hasItem: (key: string) => Promise<boolean>
  /** Bytes that `setItemRaw` stored come as `base64:` and their Base64, which a snapshot can hold and restore. */
  readonly getItem: (key: string) => Promise<Stored>
  /** One round trip a node, whatever the slots. */
  readonly getItems: (items: Item[]) => Promise<{ key: string; value: Stored }[]>
  /** Bytes as a `Buffer`, text as text, plain data as it was. */
  readonly getItemRaw: (key: string) => Promise<unknown>
  readonly setItem: (key: string, value: string, options?: Transaction) => Promise<void>
  /** One round trip a node, whatever the slots. */
  readonly setItems: (
    items: (Item & { readonly value: string })[],
    commonOptions?: Transaction,
  ) => Promise<void>
  readonly setItemRaw: (key: string, value: unknown, options?: Transaction) => Promise<void>
  readonly removeItem: (key: string) => Promise<void>
  /** When it was stored, and if it ends, in how many seconds. */
  readonly getMeta: (key: string) => Promise<{ mtime: Date; ttl?: number } | null>
  /** From all primaries, each once, also while slots move. Rejects if a primary does not answer. */
  readonly getKeys: (base?: string) => Promise<string[]>
  /** Removes what is below `base`, on all primaries. Looks at every key of the servers. */
  readonly clear: (base?: string) => Promise<void>
  /** Refuses further calls. The port stays open. Idempotent. */
  readonly dispose: () => Promise<void>
}

const BASE64 = 'base64:'

/**
 * A driver for unstorage 1. **It is a cache**: entries may be evicted by Redis, and lost in a failover, so keep
 * nothing in it that exists nowhere else.
 *
 * While Redis does not answer, reads find nothing within `budgetMs` (`whenUnavailable: 'throw'` makes them reject, for
 * those who must tell "not there" from "not known"); writes, `getKeys` and `clear` reject, and what could not be
 * overwritten is removed as soon as Redis answers.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { unstorageDriver } from 'slotwise/cache/unstorage'
 * import { createStorage } from 'unstorage'
 *
 * const port = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const storage = createStorage({ driver: unstorageDriver(port, { name: 'pages' }) })
 * await storage.setItem('articles:7', { title: 'Slots' }, { ttl: 60 })
 * console.log(await storage.getKeys('articles'))
 * ```
 */
export function unstorageDriver(port: RedisPort, options: UnstorageDriverOptions): UnstorageDriver {
  const { base: shelf = '', ...rest } = options
  const shelves = new Shelves(port, rest)
  const place = (key: string): Place => ({ shelf, parts: key.split(':') })
  const filing = (key: string, value: unknown, ttl: number | undefined) => ({
    ...place(key),
    value,
    ttlMs: ttlMsOf(ttl),
  })
  return {
    name: 'slotwise',
    flags: { ttl: true },
    options,
    getInstance: () => port,
    hasItem: async (key) => (await shelves.get(place(key))) !== undefined,
    getItem: async (key) => storable(await shelves.get(place(key))),
    getItems: async (items) => {
      const values = await shelves.getMany(items.map(({ key }) => place(key)))
      return items.map(({ key }, i) => ({ key, value: storable(values[i]) }))
    },
    getItemRaw: async (key) => raw(await shelves.get(place(key))),
    setItem: async (key, value, { ttl } = {}) => {
      await shelves.put([filing(key, value, ttl)])
    },
    setItems: async (items, common = {}) => {
      await shelves.put(
        items.map(({ key, value, options: own }) => filing(key, value, own?.ttl ?? common.ttl)),
      )
    },
    setItemRaw: async (key, value, { ttl } = {}) => {
      await shelves.put([filing(key, value, ttl)])
    },
    removeItem: async (key) => {
      await shelves.remove([place(key)])
    },
    getMeta: async (key) => {
      const span = await shelves.span(place(key))
      if (span === undefined) return null
      const mtime = new Date(Date.now() - span.ageMs)
      return span.leftMs === undefined ? { mtime } : { mtime, ttl: span.leftMs / 1000 }
    },
    getKeys: async (base) => {
      const found = await shelves.list(shelf, partsOf(base))
      return found.map((parts) => parts.join(':'))
    },
    clear: async (base) => await shelves.clear(shelf, partsOf(base)),
    dispose: async () => await shelves.close(),
  }
}

const partsOf = (base = ''): readonly string[] => base.split(':').filter((part) => part !== '')

/** 0 is no end, as with the drivers of unstorage itself. */
const ttlMsOf = (seconds: number | undefined): number | undefined =>
  seconds === undefined || seconds === 0 ? undefined : seconds * 1000

function storable(value: unknown): Stored {
  if (Buffer.isBuffer(value)) return `${BASE64}${value.toString('base64')}`
  return value ?? null
}

/** Text that begins so is taken for bytes, as unstorage itself does with drivers that store text alone. */
function raw(value: unknown): unknown {
  if (typeof value === 'string' && value.startsWith(BASE64)) {
    return Buffer.from(value.slice(BASE64.length), 'base64')
  }
  return value ?? null
}
