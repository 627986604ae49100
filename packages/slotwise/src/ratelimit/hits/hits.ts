import { UnexpectedReplyError } from '../../errors.js'
import { type Id, type KeySpace, keyOf, plainName, prefixOf } from '../../keys.js'
import { integer } from '../../options.js'
import type { RedisPort, Reply } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import countSource from './count.lua.js'
import lookSource from './look.lua.js'
import uncountSource from './uncount.lua.js'

/** Settings of a store for another package. */
export interface HitsOptions {
  /** Part of every key: stores of one name share their counts. */
  readonly name: string
  /** Bound on one call, in milliseconds, after which it rejects. @defaultValue `50` */
  readonly deadlineMs?: number | undefined
}

/** Hits of a window, and how many milliseconds of it are left. */
export interface Window {
  readonly hits: number
  readonly leftMs: number
}

/** What hits beyond the limit do to the window. */
export const BEYOND = { nothing: 0, restart: 1, double: 2 } as const

// A hit that was counted before its answer was lost would be counted twice.
const count = defineScript(countSource, { repeat: 'unsafe', decode: windowOf })
const uncount = defineScript(uncountSource, { repeat: 'unsafe', decode: (reply) => reply })
const look = defineScript(lookSource, { repeat: 'safe', decode: windowOf })

/**
 * Counters of hits, refused ones too, in windows that begin with the first: what the stores of other packages are asked for.
 * Each is one key, one command and one round trip, by the server's clock, to the millisecond.
 */
export class Hits {
  readonly #port: RedisPort
  readonly #space: KeySpace
  readonly #call: { readonly deadlineMs: number }
  /** What all keys of this store begin with. */
  readonly prefix: string

  constructor(port: RedisPort, { name, deadlineMs = 50 }: HitsOptions) {
    this.#port = port
    this.#space = { namespace: port.namespace, pattern: 'hits', name: plainName('name', name) }
    this.#call = { deadlineMs: integer('deadlineMs', deadlineMs) }
    this.prefix = prefixOf(this.#space)
  }

  async count(
    id: Id,
    windowMs: number,
    max: number = Number.MAX_SAFE_INTEGER,
    beyond: 0 | 1 | 2 = BEYOND.nothing,
  ): Promise<Window> {
    const args = { window_ms: integer('the window in milliseconds', windowMs), max, beyond }
    return await count.run(this.#port, { hits: keyOf(this.#space, id) }, args, this.#call)
  }

  async uncount(id: Id): Promise<void> {
    await uncount.run(this.#port, { hits: keyOf(this.#space, id) }, {}, this.#call)
  }

  async look(id: Id): Promise<Window> {
    return await look.run(this.#port, { hits: keyOf(this.#space, id) }, {}, this.#call)
  }

  async forget(id: Id): Promise<void> {
    const key = keyOf(this.#space, id)
    await this.#port.call({ key, command: ['DEL', key], repeat: 'safe' }, this.#call)
  }
}

function windowOf(reply: Reply): Window {
  if (Array.isArray(reply)) {
    const [hits, leftMs] = reply as readonly Reply[]
    if (typeof hits === 'number' && typeof leftMs === 'number') return { hits, leftMs }
  }
  throw new UnexpectedReplyError('a counter of hits was answered with something else than two numbers')
}
