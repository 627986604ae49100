import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, inject } from 'vitest'
import { connect } from '../../../slotwise/src/ioredis/index.js'
import type { RedisPort } from '../../../slotwise/src/redis/index.js'

/** A port to the cluster that all tests share, in a namespace of its own, of which nothing is left. */
export function useOpsPort(): { readonly namespace: string; readonly port: () => RedisPort } {
  const namespace = `cli-${randomUUID().slice(0, 8)}`
  let port: RedisPort
  beforeAll(async () => {
    port = await connect({
      nodes: inject('cliNodes'),
      username: 'ops',
      password: inject('cliPassword'),
      namespace,
    })
  })
  afterAll(async () => {
    // Other tests count what there is.
    for (const { result } of await port.onEachPrimary(['KEYS', '*'])) {
      if (result.status === 'rejected') throw result.reason
      const keys = (result.value as string[]).filter((key) => key.startsWith(`${namespace}:`))
      for (const key of keys) await port.call({ key: key as never, command: ['DEL', key], repeat: 'safe' })
    }
    await port.close()
  })
  return { namespace, port: () => port }
}
