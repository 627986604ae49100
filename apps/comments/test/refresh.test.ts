import { connect } from 'slotwise/ioredis'
import { keyOf } from 'slotwise/redis'
import { expect, it } from 'vitest'
import { useService } from './support/service.js'

const service = useService()

/** Where an entry says how long it took to load, in ms, in 4 bytes. */
const LOAD_MS_AT = 25

it('a busy thread is loaded anew before its entry ends, while its readers get the present one', async () => {
  const api = await service.tenant()
  await api.entity('e')
  await api.comment('e', 'first')
  await api.thread('e')

  const { redisNodes, namespace } = service.config
  await using port = await connect({ nodes: redisNodes, namespace })
  const key = keyOf({ namespace, pattern: 'cache', name: 'threads', tenant: api.tenant }, 'e')
  const bytes = () => port.call({ key, command: ['HGET', key, 'v'] }, { binary: true })
  await expect.poll(bytes).toBeInstanceOf(Buffer)
  // As if it took so long to load that it is time to begin.
  const entry = Buffer.from((await bytes()) as Buffer)
  entry.writeUInt32BE(0xffff_ffff, LOAD_MS_AT)
  await port.call({ key, command: ['HSET', key, 'v', entry] })
  // Nobody tells the caches of it, and no trigger does: this is a connection of the service.
  await service.db.kysely
    .updateTable('comments')
    .set({ content: 'second' })
    .where('tenant_id', '=', api.tenant)
    .execute()

  const reader = await api.thread('e')
  expect([reader.headers.get('x-cache'), reader.body.items[0].content]).toEqual(['hit', 'first'])
  await expect.poll(async () => (await api.thread('e')).body.items[0].content).toBe('second')
})
