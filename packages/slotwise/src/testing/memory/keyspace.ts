import { wrongType } from './answer.js'

/** What a key holds: text, or a hash. */
export type Stored = string | Map<string, string>

interface Item {
  readonly value: Stored
  /** In ms; `undefined` for ever. */
  readonly expiresAt: number | undefined
}

/** Keys and what they hold, as one set of primaries has it. Keys that have expired are not there any more. */
export class Keyspace {
  readonly #items: Map<string, Item>

  constructor(items: ReadonlyMap<string, Item> = new Map()) {
    this.#items = new Map(items)
  }

  /** All of it, as it is now: what a replica has that is in step. */
  copy(): Keyspace {
    const items = [...this.#items].map(
      ([key, item]) =>
        [key, { ...item, value: typeof item.value === 'string' ? item.value : new Map(item.value) }] as const,
    )
    return new Keyspace(new Map(items))
  }

  has(key: string, nowMs: number): boolean {
    return this.#find(key, nowMs) !== undefined
  }

  value(key: string, nowMs: number): Stored | undefined {
    return this.#find(key, nowMs)?.value
  }

  /** @throws CommandError it holds something else */
  text(key: string, nowMs: number): string | undefined {
    const value = this.value(key, nowMs)
    if (value instanceof Map) throw wrongType()
    return value
  }

  /** @throws CommandError it holds something else */
  hash(key: string, nowMs: number): ReadonlyMap<string, string> | undefined {
    const value = this.value(key, nowMs)
    if (typeof value === 'string') throw wrongType()
    return value
  }

  /** The hash at a key, made if there is none, to be changed by `change`; one that is left empty is gone. */
  changeHash<R>(key: string, nowMs: number, change: (hash: Map<string, string>) => R): R {
    const value = this.value(key, nowMs) ?? new Map<string, string>()
    if (typeof value === 'string') throw wrongType()
    const result = change(value)
    if (value.size === 0) this.#items.delete(key)
    else if (!this.#items.has(key)) this.#items.set(key, { value, expiresAt: undefined })
    return result
  }

  put(key: string, value: Stored, expiresAt?: number): void {
    this.#items.set(key, { value, expiresAt })
  }

  remove(key: string, nowMs: number): boolean {
    return this.has(key, nowMs) && this.#items.delete(key)
  }

  /** When it expires: `undefined` for never, and for a key that is not there. */
  expiresAt(key: string, nowMs: number): number | undefined {
    return this.#find(key, nowMs)?.expiresAt
  }

  /** `false` for a key that is not there. */
  expireAt(key: string, expiresAt: number | undefined, nowMs: number): boolean {
    const item = this.#find(key, nowMs)
    if (item === undefined) return false
    if (expiresAt !== undefined && expiresAt <= nowMs) this.#items.delete(key)
    else this.#items.set(key, { ...item, expiresAt })
    return true
  }

  keys(nowMs: number): readonly string[] {
    return [...this.#items.keys()].filter((key) => this.has(key, nowMs))
  }

  clear(): void {
    this.#items.clear()
  }

  #find(key: string, nowMs: number): Item | undefined {
    const item = this.#items.get(key)
    // At its very millisecond it is still there, as in Redis.
    if (item?.expiresAt === undefined || nowMs <= item.expiresAt) return item
    this.#items.delete(key)
    return undefined
  }
}
