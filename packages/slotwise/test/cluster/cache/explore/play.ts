import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache, type CacheOptions } from '../../../../src/cache/index.js'
import { type Key, keyOf, type RedisPort, type Reply } from '../../../../src/redis/index.js'
import type { MemoryRedis, TestClock } from '../../../../src/testing/index.js'
import type { Call } from '../watched-port.js'
import type { Choices } from './choices.js'
import { type Actor, DEEDS, type Deed, LAG_MS, LEASE_MS } from './deeds.js'
import { Stage, type Standing, type Way } from './stage.js'
import { isOfTag, type Mutant, mistakenly, staged } from './staged-port.js'
import { turns } from './turns.js'
import { type Exception, lookInto, World } from './world.js'

/** Who does what, and what may go wrong meanwhile. */
export interface Cast {
  /** Deeds by process; those of one process run at the same time. */
  readonly processes: readonly (readonly Deed[])[]
  readonly options?: Partial<CacheOptions<string>>
  /** What lies in Redis at the beginning; `early`: fresh, and whoever reads it is to refresh it. @defaultValue nothing */
  readonly before?: 'fresh' | 'early' | 'stale'
  /** What lies there bears the tag. */
  readonly bears?: boolean
  /** How many things go wrong at most, of those allowed. */
  readonly faults?: number
  readonly allowed?: readonly Fault[]
}

export type Fault =
  | 'lost'
  | 'late'
  | 'death'
  | 'clock'
  | 'failover'
  | 'message'
  /** A tag is evicted. */
  | 'eviction'
  /** The servers of the tags alone are replaced by replicas that lack the last writes. */
  | 'lag'

/** What a schedule runs on. */
export interface Ground {
  readonly port: RedisPort
  /** Where the clock can be turned and replicas can take over. */
  readonly memory?: { readonly redis: MemoryRedis; readonly clock: TestClock }
  readonly mutant?: Mutant | undefined
}

/** How one schedule went. */
export interface Played {
  readonly violations: readonly string[]
  readonly exceptions: readonly Exception[]
  readonly trace: readonly string[]
}

/** Announces a change. */
interface Intent {
  readonly endsAt: number
  readonly epoch: number
}

/** A tag as a replica has it. */
interface Saved {
  readonly key: Key
  readonly fields: readonly Buffer[]
  readonly endsAt: number
}

interface Move {
  readonly label: string
  readonly isFault: boolean
  readonly make: () => Promise<void> | void
}

const TTL_MS = 10_000
const STALE_MS = 20_000

const READS = new Set(['HGET', 'HMGET', 'PTTL'])
const INVALIDATES = new Set(['DEL', 'HDEL', 'invalidate', 'intend', 'settle', 'store'])
/** What whoever waits for others must not take for something that others have done: it does the same itself. */
const GIVES_VERSION = 'look'
/** One that goes on for longer than any of ours does not end; on a server, where a lease ends when it does. */
const MOST_MOVES = { memory: 500, server: 10_000 }
/** Where an entry says how long it took to load: see entry.ts. */
const LOAD_MS_AT = 25

/** Runs one schedule of a cast: whenever several things can happen next, `choices` says which. */
export async function play(cast: Cast, ground: Ground, choices: Choices): Promise<Played> {
  const schedule = new Schedule(cast, ground, choices)
  return await schedule.run()
}

class Schedule {
  readonly #cast: Cast
  readonly #ground: Ground
  readonly #choices: Choices
  readonly #stage = new Stage()
  readonly #world = new World()
  readonly #trace: string[] = []
  readonly #id = randomUUID()
  readonly #epochs = new Map<string, number>()
  readonly #intents = new Map<string, Intent>()
  readonly #tagIntents = new Map<string, Intent>()
  readonly #tag = { at: `${this.#id}/at`, above: this.#id }
  /** What the replicas of the tags have, where that is not what their servers have. */
  #lagging: readonly Saved[] | undefined
  readonly #actors: Actor[] = []
  /** The load that was last allowed to store. */
  #granted: string | undefined
  /** The same, until it has stored, given it back, or lost it; since when. */
  #loading: { readonly token: string; readonly who: string; readonly since: number } | undefined
  #left: number
  #held: 'no' | 'yes' | 'over' = 'no'
  #lossy = false
  /** How much of what a process does has not ended. */
  readonly #open = new Map<string, number>()

  constructor(cast: Cast, ground: Ground, choices: Choices) {
    this.#cast = cast
    this.#ground = ground
    this.#choices = choices
    this.#left = cast.faults ?? 0
  }

  async run(): Promise<Played> {
    await this.#prepare()
    await this.#begin()
    for (let moves = 0; ; ) {
      if (moves > this.#most) throw new Error(`a schedule does not end: ${this.#trace.slice(-30).join(', ')}`)
      const possible = this.#moves()
      const move = possible[possible.length === 1 ? 0 : this.#choices.next(possible.length)]
      if (move === undefined) {
        if (!this.#goesOn()) break
        // What is tried again in the background is so after a timer, and messages of a server take their time.
        await sleep(1)
        if (this.#ground.memory === undefined) this.#stage.changes++
        moves++
        continue
      }
      moves++
      this.#trace.push(move.label)
      if (move.isFault) this.#left--
      await move.make()
      await this.#stage.settled()
      this.#world.stored(await this.#look())
    }
    for (const [who, count] of this.#open)
      if (count > 0) this.#world.violations.push(`${count} calls of ${who} never ended`)
    // What was granted to the dead ends.
    this.#ground.memory?.clock.advance(LEASE_MS + 1)
    this.#world.stays(await this.#look())
    const { violations, exceptions } = this.#world
    return { violations, exceptions, trace: this.#trace }
  }

  get #most(): number {
    return this.#ground.memory === undefined ? MOST_MOVES.server : MOST_MOVES.memory
  }

  /** Whether something will happen by itself. */
  #goesOn(): boolean {
    const isPending = this.#actors.some(
      ({ who, cache }) => !this.#stage.isDead(who) && cache.stats().pending > 0,
    )
    const isOpen = [...this.#open.values()].some((count) => count > 0)
    return isPending || (isOpen && this.#ground.memory === undefined)
  }

  #look(): Promise<number | undefined> {
    return lookInto(this.#ground.port, this.#key(), (path) => this.#tagKey(path))
  }

  #tagKey(path: string): Key {
    const space = { namespace: this.#ground.port.namespace, pattern: 'tag', name: 'ours' }
    return keyOf(space, path.split('/'))
  }

  #key() {
    return keyOf({ namespace: this.#ground.port.namespace, pattern: 'cache', name: 'ours' }, this.#id)
  }

  async #prepare(): Promise<void> {
    if (this.#cast.before === undefined) return
    const tags = this.#cast.bears === true ? [this.#tag.at] : []
    const { port, mutant } = this.#ground
    await this.#cacheOver(mistakenly(port, mutant)).set(this.#id, '1', { tags })
    if (this.#cast.before === 'stale') this.#ground.memory?.clock.advance(TTL_MS)
    if (this.#cast.before === 'early') await this.#ripen()
  }

  /** As if it took so long to load that it is time to begin, whatever the die says. */
  async #ripen(): Promise<void> {
    const { port } = this.#ground
    const key = this.#key()
    const bytes = await port.call({ key, command: ['HGET', key, 'v'] }, { binary: true })
    if (!Buffer.isBuffer(bytes)) throw new Error('there is nothing to be refreshed')
    bytes.writeUInt32BE(0xffff_ffff, LOAD_MS_AT)
    await port.call({ key, command: ['HSET', key, 'v', bytes] })
  }

  #cacheOver(port: RedisPort): Cache<string> {
    return new Cache<string>(port, {
      name: 'ours',
      ttlMs: TTL_MS,
      leaseMs: LEASE_MS,
      budgetMs: 60_000,
      jitter: 0,
      ...(this.#cast.before === 'stale' ? { staleMs: STALE_MS } : {}),
      ...(this.#cast.before === 'early' ? { earlyRefresh: 1 } : {}),
      ...this.#cast.options,
    })
  }

  async #begin(): Promise<void> {
    for (const [i, deeds] of this.#cast.processes.entries()) {
      const who = `P${i + 1}`
      const actor = this.#actorOf(who)
      this.#actors.push(actor)
      this.#open.set(who, deeds.length)
      for (const deed of deeds) {
        void turns
          .run({ stage: this.#stage, who }, async () => {
            await this.#stage.pause(who, deed)
            await DEEDS[deed](actor)
          })
          .catch((error: unknown) => this.#trace.push(`${who} ${deed}: ${String(error)}`))
          .then(() => this.#open.set(who, (this.#open.get(who) ?? 0) - 1))
      }
    }
    await this.#stage.settled()
  }

  #actorOf(who: string): Actor {
    const port = staged(this.#ground.port, {
      stage: this.#stage,
      who,
      mutant: this.#ground.mutant,
      executed: (...what) => this.#executed(...what),
    })
    return {
      who,
      cache: this.#cacheOver(port),
      id: this.#id,
      tag: this.#tag.at,
      above: this.#tag.above,
      world: this.#world,
      stage: this.#stage,
      epoch: () => this.#epochs.get(who) ?? 0,
      isCovered: () => this.#stands(this.#intents.get(who)) || this.#stands(this.#tagIntents.get(who)),
      isTagHeld: () => this.#stands(this.#tagIntents.get(who)),
      committed: undefined,
    }
  }

  #now(): number {
    return this.#ground.memory?.clock.now() ?? performance.now()
  }

  #stands(intent: Intent | undefined): boolean {
    return intent !== undefined && intent.epoch === this.#world.epoch && this.#now() < intent.endsAt
  }

  #intent(): Intent {
    // On a server it goes on by itself, and has begun before its answer.
    const lastsMs = this.#ground.memory === undefined ? LEASE_MS / 2 : LEASE_MS
    return { endsAt: this.#now() + lastsMs, epoch: this.#world.epoch }
  }

  #executed(who: string, name: string, call: Call, reply: Reply, sentAt: number): void {
    this.#epochs.set(who, this.#world.epoch)
    const ofTag = isOfTag(call)
    if ((this.#held === 'yes' || (this.#lagging !== undefined && ofTag)) && INVALIDATES.has(name))
      this.#lossy = true
    if (ofTag) return this.#executedOfTag(who, name)
    const isHeld = name === 'acquire' && Array.isArray(reply) && reply[0] === 2
    if (!isHeld && !READS.has(name)) this.#stage.changes++
    const token = 'script' in call ? call.args[0] : undefined
    if (name === 'intend') this.#intents.set(who, this.#intent())
    if (
      INVALIDATES.has(name) ||
      ((name === 'fill' || name === 'release') && String(token) === this.#loading?.token)
    )
      this.#loading = undefined
    if (name === 'acquire' && Array.isArray(reply) && reply[0] === 1) {
      this.#grant(who, String(token), sentAt)
    }
    // After a failover the one before may be there again.
    if (name === 'fill' && reply === 1 && token !== this.#granted && this.#world.epoch === 0)
      this.#world.violations.push(`${who} stored, and another load was to`)
  }

  #executedOfTag(who: string, name: string): void {
    if (!READS.has(name) && name !== GIVES_VERSION) this.#stage.changes++
    if (name === 'intend') this.#tagIntents.set(who, this.#intent())
    if (name === 'settle') this.#tagIntents.delete(who)
  }

  /** One load in the whole cluster: nobody is granted one while another may still store. */
  #grant(who: string, token: string, sentAt: number): void {
    const { since = -Infinity, who: other } = this.#loading ?? {}
    // On a server a lease also ends while nothing happens: it began after it was asked for, in whole milliseconds.
    if (this.#loading !== undefined && performance.now() - since < LEASE_MS - 1)
      this.#world.violations.push(`${who} was granted a load while ${other} was loading`)
    this.#loading = { token, who, since: sentAt }
    this.#granted = token
  }

  /** Everything that can happen next. */
  #moves(): readonly Move[] {
    const ready = this.#stage.ready()
    const plain = ready.map((one) => this.#go(one, 'plain'))
    const may = (fault: Fault): boolean => this.#left > 0 && (this.#cast.allowed ?? []).includes(fault)
    const faults: Move[] = []
    const { memory } = this.#ground
    for (const one of ready) {
      for (const way of one.ways) {
        if (way === 'plain' || !may(way === 'late' ? 'late' : 'lost')) continue
        faults.push({ ...this.#go(one, way), isFault: true })
      }
    }
    const alive = new Set(ready.map(({ who }) => who).filter((who) => who !== 'network'))
    if (may('death')) faults.push(...[...alive].map((who) => this.#death(who)))
    if (plain.length > 0 && may('eviction'))
      faults.push(...[this.#tag.at, this.#tag.above].map((path) => this.#eviction(path)))
    // As of a failover.
    if (plain.length > 0 && (this.#lagging !== undefined || may('lag'))) faults.push(this.#lag())
    if (plain.length > 0 && memory !== undefined) {
      if (may('clock')) faults.push(this.#clock(LEASE_MS + 1, true))
      if (may('message')) faults.push(this.#silence(memory.redis))
      if (may('failover') && this.#held !== 'over') faults.push(this.#failover(memory.redis))
    }
    // The second half of a failover does not count once more.
    if (this.#held === 'yes' && plain.length > 0 && memory !== undefined && !may('failover'))
      faults.push(this.#failover(memory.redis))
    const isLagging = this.#world.replicated < this.#world.version && plain.length > 0
    if (isLagging && this.#uses('read by a replica')) plain.push(this.#catchUp())
    if (plain.length + faults.length > 0) return [...plain, ...faults]
    // All that are left wait for somebody who is no more.
    return this.#stage.isWaiting && memory !== undefined ? [this.#clock(LEASE_MS + 1, false)] : []
  }

  #uses(deed: Deed): boolean {
    return this.#cast.processes.some((deeds) => deeds.includes(deed))
  }

  #go(one: Standing, way: Way): Move {
    const label = `${one.who}:${one.what}${way === 'plain' ? '' : ` (${way})`}`
    return { label, isFault: false, make: () => this.#stage.open(one, way) }
  }

  #death(who: string): Move {
    return {
      label: `${who} dies`,
      isFault: true,
      make: () => {
        const actor = this.#actors.find((one) => one.who === who)
        if (actor?.committed !== undefined && !actor.isCovered()) this.#world.uncovered = true
        this.#open.set(who, 0)
        this.#stage.kill(who)
        this.#stage.changes++
      },
    }
  }

  #clock(ms: number, isFault: boolean): Move {
    return {
      label: `${ms} ms pass`,
      isFault,
      make: () => {
        this.#ground.memory?.clock.advance(ms)
        this.#loading = undefined
        this.#world.replicated = this.#world.version
        this.#stage.changes++
      },
    }
  }

  /** Replicas of the database are behind by less than they may be. */
  #catchUp(): Move {
    return {
      label: 'the replica catches up',
      isFault: false,
      make: () => {
        this.#ground.memory?.clock.advance(LAG_MS)
        this.#world.replicated = this.#world.version
      },
    }
  }

  #silence(redis: MemoryRedis): Move {
    return { label: 'a message is lost', isFault: true, make: () => redis.loseMessages(1) }
  }

  #eviction(path: string): Move {
    const key = this.#tagKey(path)
    return {
      label: `${path === this.#tag.at ? 'the tag' : 'the tag above'} is evicted`,
      isFault: true,
      make: async () => {
        // With what announces changes of it, which protects nothing more.
        this.#tagIntents.clear()
        await this.#ground.port.call({ key, command: ['DEL', key], repeat: 'safe' })
      },
    }
  }

  #lag(): Move {
    const lagging = this.#lagging
    if (lagging === undefined) {
      return {
        label: 'replication of the tags stops',
        isFault: true,
        make: async () => {
          this.#lagging = await Promise.all([this.#tag.at, this.#tag.above].map((path) => this.#saved(path)))
        },
      }
    }
    return {
      label: 'replicas of the tags take over',
      isFault: false,
      make: async () => {
        this.#lagging = undefined
        for (const one of lagging) await this.#restore(one)
        this.#tagIntents.clear()
        this.#world.failedOver(this.#lossy)
        this.#lossy = false
        this.#stage.changes++
      },
    }
  }

  async #saved(path: string): Promise<Saved> {
    const { port } = this.#ground
    const key = this.#tagKey(path)
    const fields = await port.call({ key, command: ['HGETALL', key], repeat: 'safe' }, { binary: true })
    const livesMs = Number(await port.call({ key, command: ['PTTL', key], repeat: 'safe' }))
    return { key, fields: fields as readonly Buffer[], endsAt: this.#now() + livesMs }
  }

  async #restore({ key, fields, endsAt }: Saved): Promise<void> {
    const { port } = this.#ground
    await port.call({ key, command: ['DEL', key], repeat: 'safe' })
    const livesMs = endsAt - this.#now()
    if (fields.length === 0 || livesMs <= 0) return
    await port.call({ key, command: ['HSET', key, ...fields], repeat: 'safe' })
    await port.call({ key, command: ['PEXPIRE', key, livesMs], repeat: 'safe' })
  }

  #failover(redis: MemoryRedis): Move {
    if (this.#held === 'no') {
      return {
        label: 'replication stops',
        isFault: true,
        make: () => {
          this.#held = 'yes'
          redis.holdReplication()
        },
      }
    }
    return {
      label: 'the replica takes over',
      isFault: false,
      make: () => {
        this.#held = 'over'
        redis.failOver()
        this.#loading = undefined
        this.#world.failedOver(this.#lossy)
        this.#stage.changes++
      },
    }
  }
}
