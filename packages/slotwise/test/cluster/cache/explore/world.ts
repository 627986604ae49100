import type { Key, RedisPort } from '../../../../src/redis/index.js'

/** What docs/patterns/cache.md names as not guaranteed, and what was seen of it. */
export type Exception =
  | 'lost in a failover'
  | 'a process died between its commit and its invalidation'
  | 'set without a token'

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
  #lossy = false
  /** Failovers so far. */
  epoch = 0
  /** Processes that died with a commit that nothing covers. */
  uncovered = false
  /** A value was set that nobody has checked. */
  unchecked = false

  commit(): number {
    return ++this.version
  }

  get floor(): number {
    return this.#promised
  }

  /** Of what the last command was executed in this epoch. */
  promise(version: number, epoch: number): void {
    if (epoch === this.epoch) this.#promised = Math.max(this.#promised, version)
    else this.#weakly = Math.max(this.#weakly, version)
  }

  failedOver(lost: boolean): void {
    this.epoch++
    if (!lost) return
    this.#lossy = true
    this.#weakly = Math.max(this.#weakly, this.#promised)
    this.#promised = 0
  }

  /** Somebody read this who began when that was promised. */
  read(seen: number, floor: number, from: string): void {
    if (seen >= floor) return
    if (seen >= this.#promised && this.#weakly > 0) this.exceptions.push('lost in a failover')
    else if (this.unchecked) this.exceptions.push('set without a token')
    else this.violations.push(`${from} got ${seen} after ${floor} was promised`)
  }

  /** This lies in Redis now, for everybody. */
  stored(seen: number | undefined): void {
    if (seen !== undefined) this.read(seen, Math.max(this.#promised, this.#weakly), 'a look')
  }

  /** This stays in Redis when everything has ended. */
  stays(seen: number | undefined): void {
    if (seen === undefined || seen === this.version) return
    if (this.#lossy && this.#promised < this.version) this.exceptions.push('lost in a failover')
    else if (this.uncovered && seen >= this.#promised)
      this.exceptions.push('a process died between its commit and its invalidation')
    else if (this.unchecked) this.exceptions.push('set without a token')
    else this.violations.push(`${seen} stays, the database has ${this.version}`)
  }
}

/** What readers would get of an entry now, without leaving a mark as a reader would. */
export async function lookInto(port: RedisPort, key: Key): Promise<number | undefined> {
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
  return Number(JSON.parse(bytes.subarray(bytes.readUInt16BE(3)).toString()))
}
