import { ConfigurationError, ReplyError } from '../errors.js'
import {
  type Id,
  type Key,
  type KeySpace,
  type KeyWords,
  keyOf,
  keysOf,
  plainName,
  readKey,
} from '../keys.js'
import { type CallOptions, integer } from '../options.js'
import type { RedisPort, Reply } from '../redis/port.js'
import { slotOf } from '../slots.js'
import { epochOf } from './epoch.js'
import { markerOf } from './markers.js'
import * as scripts from './scripts.js'

/** Settings of a {@link LockAdmin}. */
export interface LockAdminOptions {
  /** That of the locks. @defaultValue none: {@link LockAdmin.list} tells those of every name, and nothing else can be done */
  readonly name?: string | undefined
}

/** Options of what a {@link LockAdmin} does with a resource. */
export interface ResourceOptions extends CallOptions {
  /** Whose resource it is. @defaultValue nobody's */
  readonly tenant?: string | undefined
}

/** Options of {@link LockAdmin.list}. */
export interface ListLocksOptions extends CallOptions {
  /** Only those of this tenant. @defaultValue all */
  readonly tenant?: string | undefined
  /** So many are told at most. @defaultValue `1000` */
  readonly limit?: number | undefined
  /** Hears how far it has come, after each thousand keys or so. */
  readonly onProgress?: ((progress: ListProgress) => void) | undefined
}

/** How far {@link LockAdmin.list} has come. */
export interface ListProgress {
  /** Of all keys of the cluster, whatever they are, about. */
  readonly keysDone: number
  readonly keysTotal: number
  readonly locks: number
}

/** Where a lock stands. */
export interface LockReport {
  readonly key: string
  /** That of the locks. */
  readonly name: string
  readonly tenant: KeyWords<string> | undefined
  /** Its parts; only a hash of them where it is longer than 128 characters. */
  readonly resource: KeyWords<readonly string[]>
  /** `'kept'`: it was released, and the first who waits has a second to take it. */
  readonly state: 'held' | 'kept' | 'free'
  /** What the holder says of itself. */
  readonly holder: string | undefined
  /** How long it is held or kept unless it is extended, in milliseconds. */
  readonly remainingMs: number
  /** That of the holder. */
  readonly token: bigint | undefined
  /** How many wait in the line. */
  readonly waiting: number
  /** The server may have forgotten locks of its slot: it gives none until then, by its clock. Locks that are held go on. */
  readonly quarantinedUntil: Date | undefined
}

/** What {@link LockAdmin.list} found. */
export interface LockList {
  readonly locks: readonly LockReport[]
  /** Whether that is all there is, or `limit` was reached. */
  readonly complete: boolean
}

/** What {@link LockAdmin.release} did. */
export interface ForcedRelease {
  /** Whether somebody was deprived of it; not if nobody had it, or if it went on to somebody else meanwhile. */
  readonly released: boolean
  /** How it stood before. */
  readonly before: LockReport
}

const DEADLINE_MS = 3000
const COUNT = 1000

/**
 * What can be done with locks by who knows their name, or only where to look: for command lines and consoles. It finds locks of
 * one slot of a cluster, not those of independent nodes.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { LockAdmin } from 'slotwise/lock'
 *
 * const redis = await connect({ nodes: ['127.0.0.1:7000'], namespace: 'shop' })
 * const invoices = new LockAdmin(redis, { name: 'invoices' })
 * const { locks } = await invoices.list()
 * for (const { resource, holder, remainingMs } of locks) console.log(resource, holder, remainingMs)
 * await invoices.release(['invoice', 42])
 * ```
 */
export class LockAdmin {
  readonly #port: RedisPort
  readonly #name: string | undefined

  constructor(port: RedisPort, { name }: LockAdminOptions = {}) {
    this.#port = port
    this.#name = name === undefined ? undefined : plainName('name', name)
  }

  /**
   * The locks that are held, in no order. It goes through all keys of every primary, a thousand at a time, and nobody waits for
   * that. Not guaranteed: those that are taken, released, or moved to another node meanwhile.
   *
   * @throws RedisUnavailableError a primary does not answer
   */
  async list({ tenant, limit = 1000, onProgress, ...options }: ListLocksOptions = {}): Promise<LockList> {
    const most = integer('limit', limit, { min: 1 })
    // A star stands for every name here, and no name holds one.
    const pattern = keysOf({ ...this.#space(this.#name ?? '*'), tenant })
    const sizes = await this.#port.onEachPrimary(['DBSIZE'], within(options))
    const keysTotal = sizes.reduce((sum, { result }) => sum + Number(fulfilled(result)), 0)
    const found = new Map<string, LockReport>()
    let keysDone = 0
    for (const { node } of sizes) {
      for await (const keys of this.#pages(node.id, pattern, options)) {
        const fresh = keys.filter((key) => !found.has(key) && this.#isLock(key))
        for (const report of await this.#reports(fresh, options)) {
          if (found.size === most) return { locks: [...found.values()], complete: false }
          found.set(report.key, report)
        }
        keysDone = Math.min(keysTotal, keysDone + COUNT)
        onProgress?.({ keysDone, keysTotal, locks: found.size })
      }
    }
    return { locks: [...found.values()], complete: true }
  }

  /** Where the lock of `resource` stands. Changes nothing. */
  async show(resource: Id, options: ResourceOptions = {}): Promise<LockReport> {
    const key = this.#keyOf(resource, options)
    return reportOf(key, await this.#look(key, options))
  }

  /**
   * Frees the lock of `resource`, whoever holds it, and passes it on to the first who waits. The next holder's token is larger
   * still. **The holder is not stopped**: it believes to hold the lock until its next extension or its deadline, and only a fence
   * that compares tokens keeps its writes out.
   *
   * @throws RedisUnavailableError Redis could not say; it may have been released
   */
  async release(resource: Id, options: ResourceOptions = {}): Promise<ForcedRelease> {
    const key = this.#keyOf(resource, options)
    const seen = await this.#look(key, options)
    const before = reportOf(key, seen)
    if (before.state === 'free') return { released: false, before }
    // By its owner: whoever has taken it since is not the one that somebody wanted to be rid of.
    const verdict = await scripts.release.run(
      this.#port,
      { lock: key },
      { owner: seen.owner },
      within(options),
    )
    return { released: verdict === 'done' || (verdict === 'over' && before.state === 'kept'), before }
  }

  #space(name: string): KeySpace {
    return { namespace: this.#port.namespace, pattern: 'lock', name }
  }

  #keyOf(resource: Id, { tenant }: ResourceOptions): Key {
    if (this.#name === undefined) {
      throw new ConfigurationError('to look at the lock of a resource, the name of the locks has to be told')
    }
    return keyOf({ ...this.#space(this.#name), tenant }, resource)
  }

  /** Without a namespace, `lock:` may begin a key of a namespace that is called so. */
  #isLock(key: string): boolean {
    const read = readKey(key)
    return read?.pattern === 'lock' && read.namespace === this.#port.namespace
  }

  async *#pages(node: string, pattern: string, options: CallOptions): AsyncGenerator<readonly Key[]> {
    let cursor = '0'
    // bound: the keys of the node
    do {
      const reply = await this.#port.onNode(
        node,
        ['SCAN', cursor, 'MATCH', pattern, 'COUNT', COUNT],
        within(options),
      )
      const [next, keys] = reply as readonly [Reply, readonly Key[]]
      yield keys
      cursor = String(next)
    } while (cursor !== '0')
  }

  async #reports(keys: readonly Key[], options: CallOptions): Promise<readonly LockReport[]> {
    const calls = keys.map((key) => scripts.show.call(this.#keys(key), this.#args(key)))
    const answers = await this.#port.pipeline(calls, within(options))
    return answers.flatMap((answer, i) => {
      const key = keys[i]
      if (key === undefined || isForeign(answer)) return []
      const report = reportOf(key, scripts.show.decode(fulfilled(answer)))
      return report.state === 'free' ? [] : [report]
    })
  }

  #look(key: Key, options: CallOptions): Promise<scripts.Shown> {
    return scripts.show.run(this.#port, this.#keys(key), this.#args(key), within(options))
  }

  #keys(key: Key) {
    return { lock: key, marker: markerOf(this.#port.namespace, slotOf(key)) }
  }

  #args(key: Key) {
    return { epoch: epochOf(this.#port, slotOf(key)) }
  }
}

function reportOf(key: Key, seen: scripts.Shown): LockReport {
  const read = readKey(key)
  if (read === undefined) throw new ConfigurationError(`${key} is no key of a lock`)
  return {
    key,
    name: read.name,
    tenant: read.tenant,
    resource: read.id,
    state: seen.owner === '' ? 'free' : seen.token === undefined ? 'kept' : 'held',
    holder: seen.holder === '' ? undefined : seen.holder,
    remainingMs: seen.remainingMs,
    token: seen.token,
    waiting: seen.waiting,
    quarantinedUntil: seen.quarantineMs === 0 ? undefined : new Date(seen.nowMs + seen.quarantineMs),
  }
}

function fulfilled(answer: PromiseSettledResult<Reply>): Reply {
  if (answer.status === 'rejected') throw answer.reason
  return answer.value
}

/** Something else that somebody has put under such a key. */
const isForeign = (answer: PromiseSettledResult<Reply>) =>
  answer.status === 'rejected' &&
  answer.reason instanceof ReplyError &&
  answer.reason.replyCode === 'WRONGTYPE'

const within = ({ signal, deadlineMs = DEADLINE_MS }: CallOptions): CallOptions => ({ signal, deadlineMs })
