import { Codec } from '../../../../src/cache/entry.js'
import { json } from '../../../../src/cache/index.js'
import type { Key, RedisPort } from '../../../../src/redis/index.js'

/** What docs/patterns/cache.md names as not guaranteed, and what was seen of it. */
export type Exception =
  | 'lost in a failover'
  | 'a process died between its commit and its invalidation'
  | 'set without a token'

/** What somebody who began at some time was promised then. */
export interface Floor {
  readonly version: number
  /** What was lost before. */
  readonly losses: number
}

/**
 * The database, whose versions have an order; what has been promised to whoever begins now; and what was seen that is
 * less.
 */
export class World {
  version = 1
  /** What the replicas of the database have. */
  replicated = 1
  readonly violations: string[] = []
  readonly exceptions: Exception[] = []
  /** No read that begins now may get less. */
  #promised = 0
  /** The same, were it not for a failover that may have lost it. */
  #weakly = 0
  /** Failovers that have lost something. */
  #losses = 0
  /** Failovers so far. */
  epoch = 0
  /** Processes that died with a commit that nothing covers. */
  uncovered = false
  /** A value was set that nobody has checked. */
  unchecked = false

  commit(): number {
    return ++this.version
  }

  /** What whoever begins now is promised. */
  get floor(): Floor {
    return { version: this.#promised, losses: this.#losses }
  }

  /** Of what the last command was executed in this epoch. */
  promise(version: number, epoch: number): void {
    if (epoch === this.epoch) this.#promised = Math.max(this.#promised, version)
    else this.#weakly = Math.max(this.#weakly, version)
  }

  failedOver(lost: boolean): void {
    this.epoch++
    if (!lost) return
    this.#losses++
    this.#weakly = Math.max(this.#weakly, this.#promised)
    this.#promised = 0
  }

  /** Somebody read this who began when that was promised. */
  read(seen: number, { version, losses }: Floor, from: string): void {
    if (seen >= version) return
    if (losses < this.#losses) this.exceptions.push('lost in a failover')
    else if (this.unchecked) this.exceptions.push('set without a token')
    else this.violations.push(`${from} got ${seen} after ${version} was promised`)
  }

  /** This lies in Redis now, for everybody. */
  stored(seen: number | undefined): void {
    if (seen === undefined) return
    if (seen >= this.#promised && seen < this.#weakly) this.exceptions.push('lost in a failover')
    else this.read(seen, this.floor, 'a look')
  }

  /** This stays in Redis when everything has ended. */
  stays(seen: number | undefined): void {
    if (seen === undefined || seen === this.version) return
    if (this.#losses > 0 && this.#promised < this.version) this.exceptions.push('lost in a failover')
    else if (this.uncovered && seen >= this.#promised)
      this.exceptions.push('a process died between its commit and its invalidation')
    else if (this.unchecked) this.exceptions.push('set without a token')
    else this.violations.push(`${seen} stays, the database has ${this.version}`)
  }
}

const codec = new Codec({
  serializer: json,
  schema: undefined,
  compressOverBytes: Infinity,
  maxValueBytes: Infinity,
})

/** What readers would get of an entry now, without leaving a mark as a reader would. */
export async function lookInto(
  port: RedisPort,
  key: Key,
  tagKeyOf: (path: string) => Key,
): Promise<number | undefined> {
  const [fields, lives] = await port.pipeline(
    [
      { key, command: ['HMGET', key, 'v', 'x'], repeat: 'safe' },
      { key, command: ['PTTL', key], repeat: 'safe' },
    ],
    { binary: true },
  )
  if (fields?.status !== 'fulfilled' || lives?.status !== 'fulfilled') throw new Error('nothing to look at')
  const [bytes, extra] = fields.value as readonly [Buffer | null, Buffer | null]
  if (bytes === null || Number(lives.value) - Number(extra ?? 0) <= 0) return undefined
  const entry = await codec.read(bytes)
  if (entry === undefined) throw new Error('what lies there is no entry')
  for (const { path, version } of entry.stamps) {
    const tag = tagKeyOf(path)
    const now = await port.call({ key: tag, command: ['HGET', tag, 'v'], repeat: 'safe' }, { binary: true })
    if (!Buffer.isBuffer(now) || now.toString('latin1') !== version) return undefined
  }
  return Number(entry.value)
}
