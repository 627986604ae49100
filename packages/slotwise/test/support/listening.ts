import { setTimeout as sleep } from 'node:timers/promises'
import type { BorrowedConnection, RedisPort } from '../../src/redis/index.js'
import { portWith } from './port-with.js'

/** A port whose connections that tell of changes misbehave. */
export function listening(
  reader: RedisPort,
  { isHalfOpen = () => false, readsNothing = false }: { isHalfOpen?: () => boolean; readsNothing?: boolean },
): RedisPort {
  const borrow: RedisPort['borrow'] = (wanted, use) => {
    const { onPush } = wanted
    const hearing = onPush && {
      onPush: (message: Parameters<typeof onPush>[0]) => {
        if (!isHalfOpen()) onPush(message)
      },
    }
    return reader.borrow({ ...wanted, ...hearing }, (connection) => use(mute(connection)))
  }
  return portWith(reader, { borrow })

  function mute(connection: BorrowedConnection): BorrowedConnection {
    const heard = async <R>(reply: R, deadlineMs = 500): Promise<R> => {
      if (!isHalfOpen()) return reply
      await sleep(deadlineMs)
      throw new Error('no answer')
    }
    return {
      node: connection.node,
      signal: connection.signal,
      call: async (command, options) => heard(await connection.call(command, options), options?.deadlineMs),
      pipeline: async (commands, options) => {
        const asked = readsNothing ? commands.map(() => ['PING'] as const) : commands
        return heard(await connection.pipeline(asked, options), options?.deadlineMs)
      },
    }
  }
}
