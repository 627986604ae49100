import { createHash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect } from 'vitest'
import { OutcomeUnknownError, SlotwiseError } from '../../src/errors.js'
import type { LocalCluster } from '../../src/local/index.js'
import {
  type CommandCall,
  type Key,
  keyOf,
  type RedisPort,
  type ScriptCall,
  slotOf,
} from '../../src/redis/index.js'

/** A call that did not succeed. */
interface Failure {
  readonly key: Key
  readonly startedAt: number
  readonly atMs: number
  readonly error: unknown
  readonly repeatable: boolean
}

/** What became of one call that must not run twice. */
interface Once {
  readonly key: Key
  readonly field: string
  readonly outcome: 'resolved' | 'unknown' | 'not-executed'
}

const KEYS = 60
/** What a timer may be late by, besides what the event loop itself is. */
const LATE_MS = 50
/** Read at once, so that neither the answer nor the deadline is about the number. */
const CHUNK = 5000

const SOURCE = "return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)"
const COUNT = {
  name: 'count',
  keys: ['key'],
  args: ['field'],
  source: SOURCE,
  sha1: createHash('sha1').update(SOURCE).digest('hex'),
}

/** Half of them are scripts. */
function countOf(key: Key, field: string, i: number): CommandCall | ScriptCall {
  return i % 2 === 0
    ? { key, command: ['HINCRBY', key, field, 1] }
    : { script: COUNT, keys: [key], args: [field] }
}

/** Calls over slots of every node, those that may be repeated and those that may not, until it is stopped. */
export class Traffic {
  readonly failures: Failure[] = []
  readonly onces: Once[] = []
  reads = 0
  /** Of any call, however it ended. */
  longestMs = 0
  /** How many of the onces did. */
  succeeded = 0
  readonly #slowest = new Map<Key, number>()
  /** So many make calls that must not run twice, one after the other. */
  readonly callers = 8
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 5 })
  readonly #port: RedisPort
  readonly #name: string
  readonly #workers: Promise<void>[] = []
  #over = false

  constructor(port: RedisPort, name: string) {
    this.#port = port
    this.#name = name
    this.#loopDelay.enable()
    for (let worker = 0; worker < this.callers * 2; worker++) {
      this.#workers.push(worker % 2 === 0 ? this.#repeatable(worker) : this.#once(worker))
    }
  }

  async stop(): Promise<void> {
    this.#over = true
    await Promise.all(this.#workers)
    this.#loopDelay.disable()
  }

  /** In the time of `performance.now()`. */
  get lastFailureAt(): number {
    return this.failures.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY
  }

  /** How long this process itself stood still at most, which no timer of a call can help. */
  get loopDelayMs(): number {
    return this.#loopDelay.max / 1e6
  }

  /** Failures that no caller can act on. */
  get untyped(): unknown[] {
    return this.failures.map(({ error }) => error).filter((error) => !(error instanceof SlotwiseError))
  }

  /** What the longest call to one of these keys took. */
  slowest(which: (key: Key) => boolean): number {
    return Math.max(0, ...Array.from(this.#slowest, ([key, ms]) => (which(key) ? ms : 0)))
  }

  /** How often each call that must not run twice did run, as the fields say. */
  async executions(): Promise<Record<Once['outcome'], Record<number, number>>> {
    const counted = { resolved: {}, unknown: {}, 'not-executed': {} } as Record<
      Once['outcome'],
      Record<number, number>
    >
    for (const { once, times } of await this.#counts()) {
      counted[once.outcome][times] = (counted[once.outcome][times] ?? 0) + 1
    }
    return counted
  }

  /** Those that were acknowledged and are gone: a failover lost them. */
  async missing(): Promise<readonly string[]> {
    const counts = await this.#counts()
    return counts.flatMap(({ once: { outcome, key, field }, times }) =>
      outcome === 'resolved' && times === 0 ? [`${key} ${field}`] : [],
    )
  }

  /**
   * What holds whatever happens: no call outlived its deadline, every error was one that a caller can act on, nothing
   * ran twice or in spite of "not executed", and unknown is at most what was on its way at one of the faults.
   */
  async expectSound(deadlineMs: number, faults: number) {
    expect(this.longestMs).toBeLessThan(deadlineMs + LATE_MS + this.loopDelayMs)
    expect(this.untyped).toEqual([])
    const unknown = this.failures.filter(
      ({ error, repeatable }) => !repeatable && error instanceof OutcomeUnknownError,
    )
    expect(unknown.length).toBeLessThanOrEqual(faults * this.callers)
    const executed = await this.executions()
    for (const counts of [executed.resolved, executed.unknown])
      expect(Object.keys(counts).filter((times) => Number(times) > 1)).toEqual([])
    expect(Object.keys(executed['not-executed']).filter((times) => times !== '0')).toEqual([])
    return executed
  }

  async #counts(): Promise<readonly { readonly once: Once; readonly times: number }[]> {
    const counts: { once: Once; times: number }[] = []
    for (let from = 0; from < this.onces.length; from += CHUNK) {
      const onces = this.onces.slice(from, from + CHUNK)
      const fields = await this.#port.pipeline(
        onces.map(({ key, field }) => ({ key, command: ['HGET', key, field], repeat: 'safe' })),
        { deadlineMs: 10_000 },
      )
      for (const [index, once] of onces.entries()) {
        const result = fields[index]
        if (result?.status !== 'fulfilled')
          throw new Error('a field cannot be read', { cause: result?.reason })
        counts.push({ once, times: Number(result.value) })
      }
    }
    return counts
  }

  #keyFor(index: number): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'traffic', name: this.#name }, [index % KEYS])
  }

  async #repeatable(worker: number): Promise<void> {
    for (let i = worker; !this.#over; i++) {
      const key = keyOf({ namespace: '', pattern: 'traffic', name: this.#name }, `read-${i % KEYS}`)
      await this.#noting(key, true, () => this.#port.call({ key, command: ['SET', key, i], repeat: 'safe' }))
      this.reads++
      await sleep(1)
    }
  }

  async #once(worker: number): Promise<void> {
    for (let i = 0; !this.#over; i++) {
      const key = this.#keyFor(i * 7 + worker)
      const field = `${worker}-${i}`
      const error = await this.#noting(key, false, () => this.#port.call(countOf(key, field, i)))
      const isUnknown = error instanceof SlotwiseError && error.code === 'OUTCOME_UNKNOWN'
      const outcome = error === undefined ? 'resolved' : isUnknown ? 'unknown' : 'not-executed'
      this.onces.push({ key, field, outcome })
      await sleep(1)
    }
  }

  async #noting(key: Key, repeatable: boolean, call: () => Promise<unknown>): Promise<unknown> {
    const from = performance.now()
    try {
      await call()
      if (!repeatable) this.succeeded++
      return undefined
    } catch (error) {
      this.failures.push({ key, startedAt: from, atMs: performance.now(), error, repeatable })
      return error
    } finally {
      const tookMs = performance.now() - from
      this.longestMs = Math.max(this.longestMs, tookMs)
      this.#slowest.set(key, Math.max(this.#slowest.get(key) ?? 0, tookMs))
    }
  }
}

/** When a server other than that with the index first takes a write into a slot that was the latter's. */
export async function promotion(cluster: LocalCluster, port: RedisPort, index: number): Promise<number> {
  const lost = cluster.nodes[index]
  const owner = port.topology().nodes.find((node) => node.port === lost?.port)
  const others = cluster.nodes.filter((node) => node.port !== lost?.port)
  return await firstWrite(others, port, owner?.id)
}

/** When one of these servers first takes a write into a slot of an owner. */
export async function firstWrite(
  servers: readonly { readonly port: number }[],
  port: RedisPort,
  owner: string | undefined,
): Promise<number> {
  let key = ''
  for (let i = 0; key === ''; i++) {
    const candidate = keyOf({ namespace: '', pattern: 'probe', name: 'promotion' }, [i])
    if (port.topology().ownerOf(slotOf(candidate))?.id === owner) key = candidate
  }
  const options = { maxRetriesPerRequest: 0, retryStrategy: () => 20 }
  const probes = servers.map(({ port: at }) => new Redis(at, '127.0.0.1', options))
  for (const probe of probes) probe.on('error', () => {})
  try {
    for (;;) {
      const tries = await Promise.allSettled(probes.map((probe) => probe.set(key, 'x')))
      if (tries.some(({ status }) => status === 'fulfilled')) return performance.now()
      await sleep(10)
    }
  } finally {
    for (const probe of probes) probe.disconnect()
  }
}
