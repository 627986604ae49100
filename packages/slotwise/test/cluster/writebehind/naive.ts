import type pg from 'pg'
import type { Key, RedisPort } from '../../../src/redis/index.js'
import { keyOf } from '../../../src/redis/index.js'

interface Operation {
  readonly id: string
  readonly value: unknown
}

/** What a well-known article shows of write-behind: the cache first, a queue in memory, a batch at a size or an interval. */
export class NaiveWriteBehind {
  readonly #port: RedisPort
  readonly #write: (batch: readonly Operation[]) => Promise<void>
  readonly #queue: Operation[] = []
  readonly #capacity: number
  readonly #timer: NodeJS.Timeout
  #batch: Operation[] = []

  constructor(
    port: RedisPort,
    write: (batch: readonly Operation[]) => Promise<void>,
    { capacity = 10_000, flushIntervalMs = 20 } = {},
  ) {
    this.#port = port
    this.#write = write
    this.#capacity = capacity
    this.#timer = setInterval(() => void this.#flush(), flushIntervalMs).unref()
  }

  async write(id: string, value: unknown): Promise<void> {
    const key = this.#key(id)
    await this.#port.call({ key, command: ['SET', key, JSON.stringify(value)] })
    if (this.#queue.length >= this.#capacity) throw new Error('write queue full')
    this.#queue.push({ id, value })
  }

  async read(id: string): Promise<unknown> {
    const key = this.#key(id)
    const text = await this.#port.call({ key, command: ['GET', key], repeat: 'safe' })
    return text === null ? undefined : JSON.parse(String(text))
  }

  /** What becomes of a process that is killed: nothing of its memory is left. */
  die(): void {
    clearInterval(this.#timer)
    this.#queue.length = 0
  }

  async #flush(): Promise<void> {
    this.#batch = this.#queue.splice(0)
    if (this.#batch.length === 0) return
    // An error is logged, and the batch is over.
    await this.#write(this.#batch).catch(() => {})
  }

  #key(id: string): Key {
    return keyOf({ namespace: this.#port.namespace, pattern: 'naive', name: 'rows' }, [id])
  }
}

/** In one transaction, an upsert each. */
export function upserts(pool: pg.Pool, table: string) {
  return async (batch: readonly Operation[]): Promise<void> => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      for (const { id, value } of batch) {
        await client.query(
          `insert into ${table} (id, value) values ($1, $2) on conflict (id) do update set value = excluded.value`,
          [id, JSON.stringify(value)],
        )
      }
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  }
}
