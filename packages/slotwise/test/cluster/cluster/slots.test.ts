import { randomBytes, randomInt } from 'node:crypto'
import { expect, inject, test } from 'vitest'
import { parseAddress } from '../../../src/cluster/observe.js'
import { WireClient } from '../../../src/redis/wire.js'
import { slotOf } from '../../../src/slots.js'

/** Keys of every kind that a tag can make a difference to, and any bytes at all. */
function anyKey(): Buffer {
  const part = () => randomBytes(randomInt(0, 12))
  const brace = () => Buffer.from(['{', '}', '{}', '}{', '{{', '}}', ''][randomInt(7)] ?? '')
  return Buffer.concat([part(), brace(), part(), brace(), part(), brace()])
}

test('a slot is what the server says it is, for 10,000 keys with tags, empty tags and any bytes', async () => {
  const [node = ''] = inject('clusterNodes')
  const client = await WireClient.connect({ ...parseAddress(node), timeoutMs: 5000 })
  const fixed = ['', '{}', '{}a', 'a{}', '{a}', '{a}b', 'b{a}', '{{a}}', '{a', 'a}', '}{a}', '{}{a}', 'é{ü}ß']
  const keys = [...fixed.map((key) => Buffer.from(key)), ...Array.from({ length: 10_000 }, anyKey)]
  const slots = await client.pipeline(keys.map((key) => ['CLUSTER', 'KEYSLOT', key]))
  client.close()
  expect(keys.filter((key, index) => slotOf(key) !== slots[index])).toEqual([])
})

test('text and its bytes have the same slot', () => {
  for (const key of ['comments:{7}', 'é{ü}ß', '{}x', '😀']) expect(slotOf(key)).toBe(slotOf(Buffer.from(key)))
})
