import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { SlotwiseError } from '../../src/errors.js'
import type { LocalCluster } from '../../src/local/index.js'
import { type Key, keyOf, type RedisPort, slotOf } from '../../src/redis/index.js'

/** A call that did not succeed. */
interface Failure {
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

/** Calls over slots of every node, those that may be repeated and those that may not, until it is stopped. */
export class Traffic {
  readonly failures: Failure[] = []
  readonly onces: Once[] = []
  reads = 0
  /** Of any call, however it ended. */
  longestMs = 0
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

  /** How long this process itself stood still at most, which no timer of a call can help. */
  get loopDelayMs(): number {
    return this.#loopDelay.max / 1e6
  }

  /** Failures that no caller can act on. */
  get untyped(): unknown[] {
    return this.failures.map(({ error }) => error).filter((error) => !(error instanceof SlotwiseError))
  }

  /** How often each call that must not run twice did run, as the fields say. */
  async executions(): Promise<Record<Once['outcome'], Record<number, number>>> {
    const counted = { resolved: {}, unknown: {}, 'not-executed': {} } as Record<
      Once['outcome'],
      Record<number, number>
    >
    const fields = await this.#port.pipeline(
      this.onces.map(({ key, field }) => ({ key, command: ['HGET', key, field], repeat: 'safe' })),
      { deadlineMs: 10_000 },
    )
    for (const [index, { outcome }] of this.onces.entries()) {
      const result = fields[index]
      if (result?.status !== 'fulfilled') throw new Error('a field cannot be read', { cause: result?.reason })
      const times = Number(result.value)
      counted[outcome][times] = (counted[outcome][times] ?? 0) + 1
    }
    return counted
  }

  #keyFor(index: number): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'traffic', name: this.#name }, [index % KEYS])
  }

  async #repeatable(worker: number): Promise<void> {
    for (let i = worker; !this.#over; i++) {
      const key = keyOf({ namespace: '', pattern: 'traffic', name: this.#name }, `read-${i % KEYS}`)
      await this.#noting(true, () => this.#port.call({ key, command: ['SET', key, i], repeat: 'safe' }))
      this.reads++
      await sleep(1)
    }
  }

  async #once(worker: number): Promise<void> {
    for (let i = 0; !this.#over; i++) {
      const key = this.#keyFor(i * 7 + worker)
      const field = `${worker}-${i}`
      const error = await this.#noting(false, () =>
        this.#port.call({ key, command: ['HINCRBY', key, field, 1] }),
      )
      const isUnknown = error instanceof SlotwiseError && error.code === 'OUTCOME_UNKNOWN'
      const outcome = error === undefined ? 'resolved' : isUnknown ? 'unknown' : 'not-executed'
      this.onces.push({ key, field, outcome })
      await sleep(1)
    }
  }

  async #noting(repeatable: boolean, call: () => Promise<unknown>): Promise<unknown> {
    const from = performance.now()
    try {
      await call()
      return undefined
    } catch (error) {
      this.failures.push({ atMs: performance.now(), error, repeatable })
      return error
    } finally {
      this.longestMs = Math.max(this.longestMs, performance.now() - from)
    }
  }
}

/** When a server other than that with the index first takes a write into a slot that was the latter's. */
export async function promotion(cluster: LocalCluster, port: RedisPort, index: number): Promise<number> {
  const lost = cluster.nodes[index]
  let key = ''
  for (let i = 0; key === ''; i++) {
    const candidate = keyOf({ namespace: '', pattern: 'probe', name: 'promotion' }, [i])
    if (port.topology().ownerOf(slotOf(candidate))?.port === lost?.port) key = candidate
  }
  const others = cluster.nodes.filter((node) => node.port !== lost?.port)
  const probes = others.map(({ port: at }) => new Redis(at, '127.0.0.1', { maxRetriesPerRequest: 0 }))
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
