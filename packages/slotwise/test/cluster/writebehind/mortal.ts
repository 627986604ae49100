import type pg from 'pg'
import type { RedisPort } from '../../../src/redis/index.js'
import type { PostgresClient, PostgresPool } from '../../../src/writebehind/index.js'
import { portWith } from '../../support/port-with.js'
import { nameOf } from '../cache/watched-port.js'

/** Where a process stops: before it does this, by its name and how often it has done it then. */
export interface Stop {
  readonly before: string
  /** Ends there, with its connections, or stands still until it is told to go on. */
  readonly kind: 'dies' | 'pauses'
}

/**
 * What a process does to Redis and Postgres, one after the other. Where it stops everything of it stops, also what it does
 * at the same time; what was sent before has been executed, whether or not it has read the answer.
 */
export class Mortal {
  readonly effects: string[] = []
  readonly stopped: Promise<void>
  readonly #stop: Stop | undefined
  readonly #counts = new Map<string, number>()
  readonly #lent = new Set<pg.PoolClient>()
  #tellStopped: () => void = () => {}
  #halt: Promise<void> | undefined
  #goOn: () => void = () => {}
  #isHeld = false
  #unhold: () => void = () => {}
  #held: Promise<void> = Promise.resolve()
  #underWay = 0
  #rests = 0

  constructor(stop?: Stop) {
    this.#stop = stop
    this.stopped = new Promise((resolve) => (this.#tellStopped = resolve))
  }

  get isStopped(): boolean {
    return this.#halt !== undefined
  }

  /** Whether no effect of the flusher has begun and not ended. */
  get isAtRest(): boolean {
    return this.#underWay === 0
  }

  /** How often that was so, for however short a time, which who looks now and then does not see where the machine is busy. */
  get rests(): number {
    return this.#rests
  }

  resume(): void {
    this.#halt = undefined
    this.#goOn()
  }

  /** Keeps it from the database alone, until what is returned is called. */
  hold(): () => void {
    this.#isHeld = true
    this.#held = new Promise((resolve) => (this.#unhold = resolve))
    return () => {
      this.#isHeld = false
      this.#unhold()
    }
  }

  port(port: RedisPort): RedisPort {
    return portWith(port, {
      call: (async (call, options) => {
        const name = nameOf(call)
        const isLeaving = name === 'enrol' && 'args' in call && String(call.args[1]) === '0'
        return await this.#does(isLeaving ? 'leave' : name, () => port.call(call, options))
      }) satisfies RedisPort['call'],
      writeThenWait: (async (call, options) =>
        await this.#does(nameOf(call), () =>
          port.writeThenWait(call, options),
        )) satisfies RedisPort['writeThenWait'],
    })
  }

  pool(pool: pg.Pool): PostgresPool {
    return {
      query: (text, values) => pool.query(text, values),
      connect: async () => {
        while (this.#isHeld) await this.#held
        const client = await this.#does('connect', () => pool.connect())
        this.#lent.add(client)
        return {
          query: async (text, values) => await this.#does(statement(text), () => client.query(text, values)),
          on: (event, listener) => client.on(event, listener),
          removeListener: (event, listener) => client.removeListener(event, listener),
          release: (isBroken) => {
            if (this.#lent.delete(client)) client.release(isBroken)
          },
        } satisfies PostgresClient
      },
    }
  }

  async #does<R>(name: string, act: () => Promise<R>): Promise<R> {
    const isFlushing = !LEASES.has(name)
    if (isFlushing) this.#underWay++
    try {
      await this.#pass(name)
      const result = await act().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      // What has come back while it stood still is read when it goes on.
      await this.#halt
      if ('error' in result) throw result.error
      return result.value
    } finally {
      if (isFlushing) this.#underWay--
      // What follows at once is part of the same.
      if (isFlushing && this.isAtRest) setImmediate(() => (this.#rests += Number(this.isAtRest)))
    }
  }

  async #pass(name: string): Promise<void> {
    await this.#halt
    const count = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, count)
    const effect = `${name} ${count}`
    this.effects.push(effect)
    if (effect !== this.#stop?.before) return
    this.#halt = new Promise((resolve) => (this.#goOn = resolve))
    if (this.#stop.kind === 'dies') {
      // Its connections end with it.
      for (const client of this.#lent) client.release(true)
      this.#lent.clear()
    }
    this.#tellStopped()
    await this.#halt
  }
}

const LEASES: ReadonlySet<string> = new Set([
  'HMGET',
  'HSETNX',
  'enrol',
  'acquire',
  'extend',
  'release',
  'leave',
])

function statement(text: string): string {
  if (text.startsWith('insert into slotwise_writebehind')) return 'claim'
  if (text.startsWith('update slotwise_writebehind')) return 'position'
  const [word = ''] = /^\w+/.exec(text) ?? []
  return word === 'insert' ? 'upsert' : word
}
