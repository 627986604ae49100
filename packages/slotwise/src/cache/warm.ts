import { RedisUnavailableError } from '../errors.js'
import type { Id } from '../keys.js'
import { integer } from '../options.js'
import type { LoadMany } from './batch.js'
import type { Found } from './read-through.js'
import type { LoadOptions, Warmed, WarmOptions } from './view-options.js'

/** What a warm-up asks of the cache that it fills. */
export interface Warming<I extends Id, T> {
  readonly foundMany: (
    ids: readonly I[],
    options: LoadOptions,
    loadMany: LoadMany<I, T>,
  ) => Promise<readonly PromiseSettledResult<Found<T>>[]>
  readonly failed: (error: unknown, id: I) => void
}

/** Loads what is not there yet, so many ids at a time, and so many batches beside each other. */
export async function warmUp<I extends Id, T>(
  { foundMany, failed: tell }: Warming<I, T>,
  ids: Iterable<I> | AsyncIterable<I>,
  options: WarmOptions,
  loadMany: LoadMany<I, T>,
): Promise<Warmed> {
  const batchSize = integer('batchSize', options.batchSize ?? 100)
  const concurrency = integer('concurrency', options.concurrency ?? 2)
  let [done, failed, present] = [0, 0, 0]
  const run = async (batch: readonly I[]): Promise<void> => {
    options.signal?.throwIfAborted()
    let loaded = 0
    const { ttlMs, tags, signal } = options
    const results = await foundMany(batch, { ttlMs, tags, signal }, (missing, context) => {
      loaded += missing.length
      return loadMany(missing, context)
    })
    batch.forEach((id, i) => {
      const error = failureOf(results[i])
      if (error === undefined) return
      failed++
      tell(error, id)
    })
    done += batch.length
    present += batch.length - loaded
    options.onProgress?.({ done, failed, present })
  }
  const running = new Set<Promise<void>>()
  const start = async (batch: readonly I[]): Promise<void> => {
    const one = run(batch).finally(() => running.delete(one))
    running.add(one)
    if (running.size >= concurrency) await Promise.race(running)
  }
  try {
    let batch: I[] = []
    for await (const id of ids) {
      if (batch.push(id) < batchSize) continue
      await start(batch)
      batch = []
    }
    if (batch.length > 0) await start(batch)
  } finally {
    // One that failed is not to leave the others without anybody who hears of them.
    await Promise.allSettled(running)
  }
  return { done, failed, present }
}

function failureOf(result: PromiseSettledResult<Found<unknown>> | undefined): unknown {
  if (result?.status === 'rejected') return result.reason
  if (result?.value.how !== 'bypass') return undefined
  return new RedisUnavailableError('it was loaded, and not stored: Redis did not answer')
}
