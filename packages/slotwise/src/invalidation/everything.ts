import { RedisUnavailableError } from '../errors.js'
import type { Key } from '../keys.js'
import type { RedisPort, Reply } from '../redis/port.js'

/** What one SCAN looks at: a server is held up by it for well under a millisecond. */
const COUNT = 1000

/** Bounds on going through everything. */
export interface EveryOptions {
  readonly signal?: AbortSignal | undefined
  readonly deadlineMs: number
}

/**
 * Every key that matches, in batches, from every primary. A key that is there from beginning to end is found, also
 * when slots move meanwhile: then it begins anew, and finds others twice.
 *
 * @throws RedisUnavailableError slots have kept on moving until the deadline, or a primary does not answer
 */
export async function* everyKey(
  port: RedisPort,
  pattern: string,
  { signal, deadlineMs }: EveryOptions,
): AsyncGenerator<readonly Key[]> {
  const endsAt = performance.now() + deadlineMs
  let isSecond = false
  for (;;) {
    const before = await ownership(port)
    for (const { id, role } of port.topology().nodes) {
      if (role !== 'primary') continue
      let cursor = '0'
      do {
        signal?.throwIfAborted()
        const reply = await port.onNode(id, ['SCAN', cursor, 'MATCH', pattern, 'COUNT', COUNT])
        const [next, found] = reply as readonly [Reply, readonly Key[]]
        if (found.length > 0) yield found
        cursor = String(next)
      } while (cursor !== '0')
    }
    if (before === (await ownership(port))) {
      // A key of a half-moved slot may have passed from a node not yet looked at to one that was; it stays there.
      if (isSecond || !before.includes('->-')) return
      isSecond = true
      continue
    }
    isSecond = false
    if (performance.now() > endsAt) {
      throw new RedisUnavailableError(`slots have kept on moving for ${Math.round(deadlineMs)} ms`)
    }
  }
}

/** Who owns what, each by its own account, and what is half moved; a slot that has moved in between could hide its keys. */
async function ownership(port: RedisPort): Promise<string> {
  const all = await port.onEachPrimary(['CLUSTER', 'NODES'])
  return all
    .map(({ node, result }) => {
      // A server without a cluster has no slots that could move.
      if (result.status === 'rejected') return isStandalone(port) ? '' : thrown(result.reason)
      const own = String(result.value)
        .split('\n')
        .find((line) => line.includes('myself'))
      return `${node.id} ${own?.split(' ').slice(8).join(' ') ?? ''}`
    })
    .toSorted()
    .join('\n')
}

const isStandalone = (port: RedisPort): boolean => port.topology().nodes.every(({ epoch }) => epoch === 0)

function thrown(reason: unknown): never {
  throw reason
}
