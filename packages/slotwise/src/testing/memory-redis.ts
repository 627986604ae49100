import { randomBytes } from 'node:crypto'
import { ConfigurationError, OutcomeUnknownError, RedisUnavailableError, ReplyError } from '../errors.js'
import { plainName } from '../keys.js'
import { integer } from '../options.js'
import type { ClusterNode } from '../redis/port.js'
import type { Request } from '../redis/request.js'
import type { ScriptSource } from '../redis/script.js'
import { slotOf } from '../slots.js'
import { type Clock, SystemClock } from './clock.js'
import type { Twin } from './lua/index.js'
import { type Answer, CommandError } from './memory/answer.js'
import { received } from './memory/bytes.js'
import { Channels } from './memory/channels.js'
import { execute, type Surroundings } from './memory/commands.js'
import { globbed } from './memory/glob.js'
import { Keyspace } from './memory/keyspace.js'
import { Layout } from './memory/layout.js'
import { runTwin } from './memory/scripts.js'
import { type MemoryPort, openMemoryPort } from './memory-port.js'
import { twins } from './scripts/all.lua.js'

/** Settings of a {@link MemoryRedis}. */
export interface MemoryRedisOptions {
  /** @defaultValue the clock of this process, `Date.now` */
  readonly clock?: Clock | undefined
  /** @defaultValue `3` */
  readonly primaries?: number | undefined
  /** @defaultValue `1` */
  readonly replicasPerPrimary?: number | undefined
  /** Twins of scripts of your own, or a function that makes them; those of this package are known. */
  readonly scripts?: readonly Twin[] | ((script: ScriptSource) => Twin | undefined) | undefined
}

/** Which calls a fault is for. */
export interface FaultTarget {
  /** A command, such as `HGET`, or a script by its name, such as `cache/fill`. @defaultValue any */
  readonly command?: string | undefined
}

interface Fault {
  left: number
  readonly command: string | undefined
  readonly executed: boolean
}

/** What servers say of themselves. */
interface Life {
  readonly run: string
  readonly bornMs: number
  readonly wasReplica: boolean
}

const LONG_MS = 30 * 86_400_000

const runId = (): string => randomBytes(20).toString('hex')

function infoOf({ run, bornMs, wasReplica }: Life, nowMs: number): string {
  const uptime = Math.max(0, Math.floor((nowMs - bornMs) / 1000))
  const before = (wasReplica ? '1' : '0').repeat(40)
  const server = `run_id:${run}\r\nuptime_in_seconds:${uptime}\r\n`
  // A promotion and a start end the one as well as the other.
  const replication = `role:master\r\nmaster_replid:${run}\r\nmaster_replid2:${before}\r\n`
  return `${server}${replication}maxmemory:0\r\n`
}

/** Repeats of what is harmless to repeat, as `connect` has them by default. */
const MAX_RETRIES = 3

/**
 * A Redis Cluster in the memory of this process: what it takes to run every pattern of this package, by the scripts of
 * this package, without a server. One command or script at a time, as on a server; what was called is executed in the
 * order of the calls. Each {@link MemoryRedis.connect} is the port of one process.
 *
 * Not there: persistence, memory limits, eviction, moving slots, rights, transactions, and commands that no pattern uses.
 *
 * @example
 * ```ts
 * import { Cache } from 'slotwise/cache'
 * import { MemoryRedis, TestClock } from 'slotwise/testing'
 *
 * const redis = new MemoryRedis({ clock: new TestClock() })
 * const [one, two] = [redis.connect(), redis.connect()].map((port) => new Cache<string>(port, { name: 'c', ttlMs: 1000 }))
 * redis.loseReplies(1, { command: 'cache/fill' })
 * console.log(await one?.getOrLoad('id', () => 'loaded'), await two?.read('id'))
 * ```
 */
export class MemoryRedis {
  readonly #clock: Clock
  readonly #twins: ReadonlyMap<string, Twin>
  readonly #makeTwin: (script: ScriptSource) => Twin | undefined
  readonly #channels = new Channels()
  readonly #faults: Fault[] = []
  #keys = new Keyspace()
  /** What the replicas have, where that is not what the primaries have. */
  #behind: Keyspace | undefined
  #stopped: string | undefined
  /** Of all primaries: they are up for long when the test begins. */
  #life: Life
  /** @internal */
  readonly layout: Layout

  constructor({
    clock = new SystemClock(),
    primaries = 3,
    replicasPerPrimary = 1,
    scripts = [],
  }: MemoryRedisOptions = {}) {
    this.#clock = clock
    this.#life = { run: runId(), bornMs: clock.now() - LONG_MS, wasReplica: false }
    this.layout = new Layout(
      integer('primaries', primaries, { max: 1000 }),
      integer('replicasPerPrimary', replicasPerPrimary, { min: 0, max: 10 }),
    )
    const given = typeof scripts === 'function' ? [] : scripts
    this.#twins = new Map([...twins, ...given].map((twin) => [twin.sha1, twin]))
    this.#makeTwin = typeof scripts === 'function' ? scripts : () => undefined
  }

  /** A port to it, as `connect` of an adapter gives one. */
  connect({ namespace = '' }: { readonly namespace?: string | undefined } = {}): MemoryPort {
    if (namespace !== '') plainName('namespace', namespace)
    return openMemoryPort(this, this.#channels, namespace)
  }

  /** Nobody reaches it from now on: every call ends at once in a `RedisUnavailableError`. Idempotent. */
  stop(reason = 'the Redis in memory is stopped'): void {
    if (this.#stopped !== undefined) return
    this.#stopped = reason
    this.#channels.each((listener) => listener.interrupted?.(reason))
  }

  /** It is there again, with all that it had. */
  start(): void {
    if (this.#stopped === undefined) return
    this.#stopped = undefined
    this.#channels.each((listener) => listener.resumed?.())
  }

  /** Why nobody reaches it; `undefined` while it is there. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /**
   * The next calls are executed and their answers lost. What is harmless to repeat is sent again, as by any port; anything
   * else ends in an `OutcomeUnknownError`.
   */
  loseReplies(count: number, target: FaultTarget = {}): void {
    this.#faults.push({ left: integer('count', count), command: target.command, executed: true })
  }

  /** The next calls are lost on their way there: the same errors, and nothing was executed. */
  loseCalls(count: number, target: FaultTarget = {}): void {
    this.#faults.push({ left: integer('count', count), command: target.command, executed: false })
  }

  /** The next messages on channels on which somebody listens are lost. */
  loseMessages(count: number): void {
    this.#channels.losing += integer('count', count)
  }

  /** Ends the faults that are left. */
  heal(): void {
    this.#faults.length = 0
    this.#channels.losing = 0
    this.start()
  }

  /** From now on replicas keep what they have: what is written until `failOver` is lost by it. */
  holdReplication(): void {
    this.#behind ??= this.#keys.copy()
  }

  /** Replicas are in step again. */
  resumeReplication(): void {
    this.#behind = undefined
  }

  /** Every primary dies, and a replica takes its place, with what that one has. */
  failOver(): void {
    this.#life = { run: runId(), bornMs: this.#life.bornMs, wasReplica: true }
    if (this.#behind === undefined) return
    this.#keys = this.#behind
    this.#behind = undefined
  }

  /** Every server is started anew, without what it had: there was no persistence. */
  restartEmpty(): void {
    this.#life = { run: runId(), bornMs: this.#clock.now(), wasReplica: false }
    this.#keys = new Keyspace()
    this.#behind = undefined
  }

  /** @internal */
  nowMs(): number {
    return this.#clock.now()
  }

  /** How many replicas have what was just written. @internal */
  acknowledging(): number {
    return this.#behind === undefined ? this.layout.replicasPerPrimary : 0
  }

  /** @internal */
  run(request: Request): Answer {
    let executed = false
    for (let losses = 0; losses <= MAX_RETRIES; losses++) {
      if (this.#stopped !== undefined) throw new RedisUnavailableError(this.#stopped)
      const fault = this.#faultOf(request)
      if (fault === undefined) return this.#execute(request)
      if (fault.executed) {
        executed = true
        this.#executeUnheard(request)
      }
      if (request.repeat === 'unsafe') break
    }
    const what = executed ? 'the answer' : 'the call'
    throw new OutcomeUnknownError(`${what} was lost`, { node: 'memory' })
  }

  #faultOf({ command: [name], script }: Request): Fault | undefined {
    const called = script?.name ?? name
    const at = this.#faults.findIndex(({ command }) => command === undefined || command === called)
    const fault = this.#faults[at]
    if (fault !== undefined && --fault.left === 0) this.#faults.splice(at, 1)
    return fault
  }

  #executeUnheard(request: Request): void {
    try {
      this.#execute(request)
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error
    }
  }

  /** @throws ReplyError what a server would answer */
  #execute({ command, script, node }: Request): Answer {
    const words = command.map(received)
    const nowUs = Math.round(this.#clock.now() * 1000)
    const at: Surroundings = {
      keys: this.#keys,
      nowMs: Math.floor(nowUs / 1000),
      nowUs,
      publish: (channel, message) => this.#channels.publish(channel, message),
      info: () => infoOf(this.#life, nowUs / 1000),
    }
    try {
      if (script !== undefined) {
        const twin = this.#twins.get(script.sha1) ?? this.#makeTwin(script)
        if (twin === undefined) throw new ConfigurationError(unknownScript(script.name))
        const [, , count] = words
        const rest = words.slice(3)
        return runTwin(twin, rest.slice(0, Number(count)), rest.slice(Number(count)), at)
      }
      const owner = node === undefined ? undefined : this.layout.find(node)
      return owner === undefined ? execute(words, at) : this.#onNode(owner, words, at)
    } catch (error) {
      if (error instanceof CommandError) throw new ReplyError(error.message)
      throw error
    }
  }

  /** What one node is asked of itself. */
  #onNode(node: ClusterNode, [name = '', ...args]: readonly string[], at: Surroundings): Answer {
    const word = [name, ...(name.toUpperCase() === 'CLUSTER' ? args.slice(0, 1) : [])].join(' ').toUpperCase()
    if (word === 'CLUSTER NODES') return this.layout.text(node)
    if (word === 'FLUSHALL' || word === 'FLUSHDB') {
      for (const key of this.#keysOf(node, at)) at.keys.remove(key, at.nowMs)
      return 'OK'
    }
    if (word === 'DBSIZE') return this.#keysOf(node, at).length
    // All in one go: the cursor is at its end.
    if (word === 'SCAN') {
      const match = args.findIndex((arg) => arg.toUpperCase() === 'MATCH')
      const pattern = globbed(match < 0 ? '*' : (args[match + 1] ?? '*'))
      return ['0', this.#keysOf(node, at).filter((key) => pattern.test(key))]
    }
    return execute([name, ...args], at)
  }

  #keysOf(node: ClusterNode, { keys, nowMs }: Surroundings): readonly string[] {
    return keys.keys(nowMs).filter((key) => this.layout.ownerOf(slotOf(Buffer.from(key, 'latin1'))) === node)
  }
}

/** A Redis in memory and a port to it in one, for tests that need only one process. */
export function memoryPort(
  options: MemoryRedisOptions & { readonly namespace?: string | undefined } = {},
): MemoryPort {
  return new MemoryRedis(options).connect({ namespace: options.namespace })
}

const unknownScript = (name: string): string =>
  `the script ${name} has no twin in memory, or not of this text: give one as \`scripts\``
