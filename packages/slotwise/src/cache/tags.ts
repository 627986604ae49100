import { PendingInvalidations } from '../invalidation/pending.js'
import { concerning } from '../invalidation/tags/paths.js'
import { versionOf } from '../invalidation/tags/scripts.js'
import { changeOf, TagStore } from '../invalidation/tags/tag-store.js'
import { type Key, keyBeside } from '../keys.js'
import type { CommandCall, RedisPort } from '../redis/port.js'
import type { Budget } from './budget.js'
import type { Stamp } from './entry.js'
import type { KnownTag, LocalLevel } from './local/level.js'
import type { Settings } from './settings.js'

/** The tags of a cache: each tenant's are its own, and entries of one tenant bear those of the same. */
export class Tags {
  readonly port: RedisPort
  readonly #settings: Settings
  /** Changes that Redis has not taken yet. */
  readonly pending: PendingInvalidations
  /** Where versions are held that are vouched for. */
  readonly local: LocalLevel | undefined

  constructor(
    port: RedisPort,
    settings: Settings,
    local: LocalLevel | undefined,
    events: Omit<ConstructorParameters<typeof PendingInvalidations>[1], 'callOf'>,
  ) {
    this.port = port
    this.#settings = settings
    this.local = local
    this.pending = new PendingInvalidations(port, { callOf: changeOf, ...events })
  }

  /** The tags of whoever the key belongs to. */
  beside(key: Key): TagStore {
    const { tagSpace: name, ttlMs, staleMs } = this.#settings
    const space = { namespace: this.port.namespace, pattern: 'tag', name }
    return new TagStore(this.port, {
      keyOf: (path) => keyBeside(key, space, path.split('/')),
      keepMs: ttlMs + staleMs,
    })
  }

  /**
   * What an entry that is about to be loaded will bear: always from Redis, since a load that begins under a version that
   * has changed already would be stored for nobody. `undefined` while one of the tags is being changed: then what is
   * loaded must not be stored.
   *
   * @throws RedisUnavailableError nothing is known of one of them
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

/** What a tag was when this reader learnt it. The object is shared, and others may write to it what they had asked for earlier. */
interface KnownHere {
  readonly version: string | undefined
  readonly tag: KnownTag
}

type Known = ReadonlyMap<string, KnownHere>

/** What is known of the tags of entries of one tenant while they are being read: each is asked for once. */
export class TagCheck {
  readonly #tags: Tags
  readonly #store: TagStore
  readonly #isStrict: boolean
  /** By the path of a tag: the answer that it will be in. */
  readonly #asked = new Map<string, Promise<Known>>()
  readonly #known = new Map<string, KnownHere>()

  /**
   * The tags that the reader names are asked for along with the entry: one round trip in the place of two. Where this
   * process holds what a tag is, and it is vouched for, nobody is asked, unless it is to be exact.
   *
   * @param key of any of the entries
   */
  constructor(
    tags: Tags,
    key: Key,
    { named = [], deadlineMs = 0, isStrict = false }: Partial<CheckTerms> = {},
  ) {
    this.#tags = tags
    this.#store = tags.beside(key)
    this.#isStrict = isStrict
    const unknown = named.filter((path) => this.#held(path) === undefined)
    if (unknown.length > 0) this.#begin(unknown, this.#ask(unknown, deadlineMs))
  }

  /**
   * Whether none of the tags has changed since, of each entry. What is not known yet is asked for now, of all of them in
   * one go.
   *
   * @throws RedisUnavailableError nothing is known of one of them, or the budget is spent
   */
  async hold(entries: readonly (readonly Stamp[])[], budget: Budget): Promise<readonly boolean[]> {
    const known = this.#known
    const paths = new Set(entries.flatMap((stamps) => stamps.map(({ path }) => path)))
    const rest: string[] = []
    for (const path of paths) {
      if (this.#asked.has(path)) continue
      const held = this.#held(path)
      if (held === undefined) rest.push(path)
      else known.set(path, { version: held.version, tag: held })
    }
    if (rest.length > 0) {
      this.#begin(
        rest,
        budget.spend((deadlineMs) => this.#ask(rest, deadlineMs)),
      )
    }
    for (const path of paths) {
      const tag = (await this.#asked.get(path))?.get(path)
      if (tag !== undefined) known.set(path, tag)
    }
    return entries.map((stamps) => stamps.every(({ path, version }) => known.get(path)?.version === version))
  }

  /** What the tags were found to be, to be held on to; after {@link hold}. */
  tagsOf(stamps: readonly Stamp[]): readonly KnownTag[] {
    return stamps.flatMap(({ path }) => this.#known.get(path)?.tag ?? [])
  }

  #begin(paths: readonly string[], asking: Promise<Known>): void {
    for (const path of paths) this.#asked.set(path, asking)
    // Whether it failed is only of interest to an entry that bears them.
    asking.catch(() => {})
  }

  #held(path: string): KnownTag | undefined {
    const { local, pending } = this.#tags
    if (local === undefined || this.#isStrict) return undefined
    const key = this.#store.keyOf(path)
    return pending.has(key) ? undefined : local.tag(key)
  }

  async #ask(paths: readonly string[], deadlineMs: number): Promise<Known> {
    const { port, local, pending } = this.#tags
    const reads = paths.map((path) => {
      const key = this.#store.keyOf(path)
      return { path, key, reading: local?.begin(key), node: undefined as string | undefined }
    })
    const calls = reads.map((read): CommandCall => {
      const call = this.#store.versionCall(read.path)
      return local === undefined ? call : { ...call, answeredBy: (node) => (read.node = node) }
    })
    const results = await port
      .pipeline(calls, { deadlineMs, binary: true })
      .catch((reason: unknown) => calls.map((): PromiseRejectedResult => ({ status: 'rejected', reason })))
    let failure: PromiseRejectedResult | undefined
    const known = new Map<string, KnownHere>()
    for (const [i, { path, key, reading, node }] of reads.entries()) {
      const result = results[i]
      const bond = reading && local?.end(key, reading, node)
      if (result?.status === 'rejected') failure = result
      if (result?.status !== 'fulfilled') continue
      // Redis still has what this process was told to change.
      const isPending = pending.has(key)
      const version = isPending ? undefined : versionOf(result.value)?.toString('latin1')
      const tag = local?.keepTag(key, version, isPending ? undefined : bond) ?? { version, bond: NO_BOND }
      known.set(path, { version, tag })
    }
    if (failure !== undefined) throw failure.reason
    return known
  }
}

interface CheckTerms {
  readonly named: readonly string[]
  readonly deadlineMs: number
  /** Nothing that this process holds counts. */
  readonly isStrict: boolean
}

const NO_BOND = { link: undefined, at: 0, wall: 0 }

/** The tags that a caller names, and those above them. */
export function pathsOf(tags: readonly string[] | undefined): readonly string[] {
  return tags === undefined ? NONE : concerning(tags)
}

const NONE: readonly string[] = []
