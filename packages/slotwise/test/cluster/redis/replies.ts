import { createHash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { UnexpectedReplyError } from '../../../src/errors.js'
import { keyOf, type RedisPort, type Reply } from '../../../src/redis/index.js'
import type { Connect } from './conformance.js'

/** Answers look the same whichever client library reads them. */
export function replies(adapter: string, connect: Connect): void {
  describe(`answers over ${adapter}`, () => {
    const key = keyOf({ namespace: 'port', pattern: 'replies', name: randomUUID() }, 'a')
    let port: RedisPort
    beforeAll(async () => {
      port = await connect({ nodes: inject('clusterNodes') })
    })
    afterAll(() => port.close())

    const answer = (source: string, binary = false): Promise<Reply> => {
      const sha1 = createHash('sha1').update(source).digest('hex')
      const script = { name: 'test', keys: [], args: [], sha1, source }
      return port.call({ script, keys: [key], args: [] }, { binary })
    }
    const bytes = (text: string) => Buffer.from(text)

    it.each([
      ["return 'text'", 'text', bytes('text')],
      ["return ''", '', bytes('')],
      ["return '\\0\\r\\n'", '\0\r\n', bytes('\0\r\n')],
      ["return redis.status_reply('GOOD')", 'GOOD', bytes('GOOD')],
      ['return 1', 1, 1],
      ['return -9007199254740900', -9007199254740900, -9007199254740900],
      ['return false', null, null],
      ['return {}', [], []],
      ['return {1, {2, {}, false}, false}', [1, [2, [], null], null], [1, [2, [], null], null]],
      [
        "return {'a', {'b', redis.status_reply('C')}}",
        ['a', ['b', 'C']],
        [bytes('a'), [bytes('b'), bytes('C')]],
      ],
      ['redis.setresp(3) return {double = 1.5}', '1.5', bytes('1.5')],
      ["redis.setresp(3) return {map = {a = 'b'}}", ['a', 'b'], [bytes('a'), bytes('b')]],
      ['redis.setresp(3) return {set = {a = true}}', ['a'], [bytes('a')]],
      ['redis.setresp(3) return true', 1, 1],
    ] as const)('have one shape in text and one in bytes: %s', async (source, inText, inBytes) => {
      expect(await answer(source)).toStrictEqual(inText)
      expect(await answer(source, true)).toStrictEqual(inBytes)
    })

    it('are the bytes that were stored, at every depth', async () => {
      const list = `${key}list` as typeof key
      const stored = Buffer.from([0, 255, 13, 10, 128])
      await port.call({ key: list, command: ['RPUSH', list, stored] })
      expect(await port.call({ key: list, command: ['LRANGE', list, 0, -1] }, { binary: true })).toEqual([
        stored,
      ])
    })

    it('are flat arrays for maps, and null for nothing', async () => {
      const hash = `${key}hash` as typeof key
      await port.call({ key: hash, command: ['HSET', hash, 'a', 1, 'b', 2n] })
      expect(await port.call({ key: hash, command: ['HGETALL', hash] })).toEqual(['a', '1', 'b', '2'])
      expect(await port.call({ key: hash, command: ['HGET', hash, 'c'] })).toBeNull()
      expect(await port.call({ key: hash, command: ['BLPOP', `${key}none`, 0.01] })).toBeNull()
    })

    it.each([
      '9007199254740943',
      '9007199254740945',
      '-9007199254740989',
      '9007199254740991',
      '9007199254740993',
      '-9223372036854775807',
    ])('never lose a digit in silence, however deep it is: %s', async (exact) => {
      const counter = `${key}counter` as typeof key
      const add = (by: string) => port.call({ key: counter, command: ['INCRBY', counter, by] })
      await port.call({ key: counter, command: ['SET', counter, 0] })
      const one: unknown = await add(exact).catch((error: unknown) => error)
      if (!(one instanceof UnexpectedReplyError)) expect(String(one)).toBe(exact)
      expect(await port.call({ key: counter, command: ['GET', counter] })).toBe(exact)
      // What Lua answers with goes through a double, which holds these exactly.
      if (!Number.isSafeInteger(Number(exact))) return
      const deep: unknown = await answer(`return {{${exact}}}`).catch((error: unknown) => error)
      if (!(deep instanceof UnexpectedReplyError)) expect(deep).toEqual([[Number(exact)]])
    })

    it.each([false, true])('never hand out an error as a part of an array (bytes: %s)', async (binary) => {
      const source = "return {1, {redis.error_reply('INNER wrong')}}"
      const error: unknown = await answer(source, binary).catch((thrown: unknown) => thrown)
      expect.assert(error instanceof UnexpectedReplyError)
      expect(error.message).toMatch(/was executed and answered .* INNER wrong/)
    })
  })
}
