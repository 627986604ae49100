/** A process that answers its part of a trace. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Cache, type LocalOptions } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import { type Place, TTL_MS, type Value, valueOf } from '../cache/subject.js'
import { serve } from '../measuring/serve.js'
import { traceOf } from '../measuring/traces.js'

interface Part {
  readonly place: Place
  readonly folder: string
  readonly local?: LocalOptions
  readonly part: number
  readonly of: number
}

interface Replay {
  readonly requests: number
  readonly localHits: number
  readonly loads: number
  readonly bypasses: number
}

/** Requests that one process has under way at any time. */
const AT_ONCE = 8

export class TraceTasks {
  readonly #part: Part
  #cache: Cache<Value> | undefined

  constructor(part: Part) {
    this.#part = part
  }

  async open(): Promise<void> {
    const { place, local } = this.#part
    const port = await connect({ nodes: place.nodes.map(({ host, port: at }) => `${host}:${at}`) })
    this.#cache = new Cache<Value>(port, { name: place.prefix, ttlMs: TTL_MS, ...(local && { local }) })
  }

  async run(): Promise<Replay> {
    const { folder, part, of } = this.#part
    const cache = this.#cache
    if (cache === undefined) throw new Error('nothing was opened')
    const ids = traceOf(folder, 'web12').filter((_, i) => i % of === part)
    let [next, loads] = [0, 0]
    const worker = async () => {
      while (next < ids.length) {
        const id = ids[next++] ?? ''
        await cache.getOrLoad(id, async () => {
          loads++
          await sleep(1)
          return valueOf(id)
        })
        // A hit waits for nothing; whoever serves lets others have their turn.
        if (next % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    const { localHits, bypasses } = cache.stats()
    return { requests: ids.length, localHits, loads, bypasses }
  }
}

const [, , part] = process.argv
if (part === undefined) throw new Error('usage: trace-child PART')
serve(new TraceTasks(JSON.parse(part) as Part))
