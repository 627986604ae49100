import { PendingInvalidations } from '../invalidation/pending.js'
import { concerning } from '../invalidation/tags/paths.js'
import { changeOf, TagStore } from '../invalidation/tags/tag-store.js'
import { type Key, keyBeside } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import type { Budget } from './budget.js'
import type { Stamp } from './entry.js'
import type { Settings } from './settings.js'

/** The tags of a cache: each tenant's are its own, and entries of one tenant bear those of the same. */
export class Tags {
  readonly #port: RedisPort
  readonly #settings: Settings
  /** Changes that Redis has not taken yet. */
  readonly pending: PendingInvalidations

  constructor(
    port: RedisPort,
    settings: Settings,
    events: { readonly report: (error: unknown, key: Key) => void; readonly changed: () => void },
  ) {
    this.#port = port
    this.#settings = settings
    this.pending = new PendingInvalidations(port, { callOf: changeOf, ...events })
  }

  /** The tags of whoever the key belongs to. */
  beside(key: Key): TagStore {
    const { tagSpace: name, ttlMs, staleMs } = this.#settings
    const space = { namespace: this.#port.namespace, pattern: 'tag', name }
    return new TagStore(this.#port, {
      keyOf: (path) => keyBeside(key, space, path.split('/')),
      keepMs: ttlMs + staleMs,
    })
  }

  /**
   * What an entry that is about to be loaded will bear. `undefined` while one of the tags is being changed, or where
   * nothing is known of one: then what is loaded must not be stored.
   */
  async stamps(
    key: Key,
    paths: readonly string[],
    deadlineMs: number,
  ): Promise<readonly Stamp[] | undefined> {
    if (paths.length === 0) return []
    const store = this.beside(key)
    const versions = await store.look(paths, { deadlineMs })
    const stamps: Stamp[] = []
    for (const [i, path] of paths.entries()) {
      const version = versions[i]
      if (version === undefined || this.pending.has(store.keyOf(path))) return undefined
      stamps.push({ path, version: version.toString('latin1') })
    }
    return stamps
  }
}

/** What is known of the tags of entries of one tenant while they are being read. */
export class TagCheck {
  readonly #tags: Tags
  readonly #key: Key
  readonly #named: Promise<ReadonlyMap<string, string | undefined>> | undefined

  /**
   * The tags that the reader names are asked for along with the entry: one round trip in the place of two.
   *
   * @param key of any of the entries
   */
  constructor(tags: Tags, key: Key, named: readonly string[], deadlineMs: number) {
    this.#tags = tags
    this.#key = key
    this.#named = named.length === 0 ? undefined : this.#ask(named, deadlineMs)
    // Whether it failed is only of interest to an entry that bears them.
    this.#named?.catch(() => {})
  }

  async #ask(paths: readonly string[], deadlineMs: number): Promise<ReadonlyMap<string, string | undefined>> {
    const store = this.#tags.beside(this.#key)
    const versions = await store.versions(paths, { deadlineMs })
    return new Map(
      paths.map((path, i) => [
        path,
        this.#tags.pending.has(store.keyOf(path)) ? undefined : versions[i]?.toString('latin1'),
      ]),
    )
  }

  /**
   * Whether none of the tags has changed since, of each entry. What the reader did not name is asked for now, of all of
   * them in one go.
   *
   * @throws RedisUnavailableError nothing is known of one of them, or the budget is spent
   */
  async hold(entries: readonly (readonly Stamp[])[], budget: Budget): Promise<readonly boolean[]> {
    let known = await (this.#named ?? NOTHING)
    const rest = new Set(entries.flatMap((stamps) => stamps.map(({ path }) => path)))
    for (const path of known.keys()) rest.delete(path)
    if (rest.size > 0) {
      const asked = await budget.spend((deadlineMs) => this.#ask([...rest], deadlineMs))
      known = new Map([...known, ...asked])
    }
    return entries.map((stamps) => stamps.every(({ path, version }) => known.get(path) === version))
  }
}

const NOTHING: ReadonlyMap<string, string | undefined> = new Map()

/** The tags that a caller names, and those above them. */
export function pathsOf(tags: readonly string[] | undefined): readonly string[] {
  return tags === undefined ? NONE : concerning(tags)
}

const NONE: readonly string[] = []
