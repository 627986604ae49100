import type { Key, RedisPort, Reply, ScriptSource } from '../../../src/redis/index.js'
import { withFakeClock } from '../../support/fake-clock.js'

type DecideSource = ScriptSource<'state', 'layout' | 'plan'>

export interface Bucket {
  readonly capacity: number
  readonly intervalUs: number
}

export interface Decided {
  readonly admitted: boolean
  /** Microseconds until each bucket is full. */
  readonly debts: readonly number[]
}

/** Runs a version of the decision by a clock of ours; the key never expires by the server's. */
export function decider(port: RedisPort, source: DecideSource) {
  const ttl = 'math.max(1, math.ceil((full - now) / 1000))'
  if (!source.source.includes(ttl)) throw new Error('the script has another time to live than this expects')
  const script = withFakeClock({ ...source, source: source.source.replace(ttl, '3600000') })
  return async (
    key: Key,
    buckets: readonly Bucket[],
    costs: readonly number[],
    nowUs: bigint,
  ): Promise<Decided> => {
    const plan = Buffer.alloc(16 * buckets.length)
    for (const [index, { capacity, intervalUs }] of buckets.entries()) {
      plan.writeDoubleBE(capacity * intervalUs, 16 * index)
      plan.writeDoubleBE((costs[index] ?? 0) * intervalUs, 16 * index + 8)
    }
    const reply = await port.call({ script, keys: [key], args: ['ABCDEFGH', plan, String(nowUs)] })
    const [admitted, ...debts] = reply as readonly Reply[]
    return { admitted: admitted === 1, debts: debts.map(Number) }
  }
}

/** The script with one mistake in it. */
export function mutant(source: DecideSource, from: string, to: string): DecideSource {
  if (source.source.split(from).length < 2) throw new Error(`the script does not contain ${from}`)
  return { ...source, source: source.source.replaceAll(from, to) }
}
