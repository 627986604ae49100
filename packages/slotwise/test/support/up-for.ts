import { vi } from 'vitest'
import type { RedisPort } from '../../src/redis/index.js'

/**
 * Waits until every primary is up for longer than so many seconds: then the first lock of a slot, of locks held no longer than
 * that, is given at once.
 */
export async function upFor(port: RedisPort, seconds: number): Promise<void> {
  const uptimes = async () => {
    const answers = await port.onEachPrimary(['INFO', 'server'])
    return answers.map(({ result }) =>
      result.status === 'fulfilled' ? Number(/uptime_in_seconds:(\d+)/.exec(String(result.value))?.[1]) : 0,
    )
  }
  await vi.waitFor(
    async () => {
      const least = Math.min(...(await uptimes()))
      if (least <= seconds + 1) throw new Error(`up for ${least} s`)
    },
    { timeout: 1000 * (seconds + 10), interval: 100 },
  )
}
