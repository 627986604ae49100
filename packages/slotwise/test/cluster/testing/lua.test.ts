import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { keyOf, type RedisPort, type Reply, type ScriptSource } from '../../../src/redis/index.js'
import { memoryPort } from '../../../src/testing/index.js'
import { compiledTwin } from '../../support/compiled-twin.js'

let port: RedisPort
beforeAll(async () => {
  port = await connect({ nodes: inject('clusterNodes') })
})
afterAll(() => port.close())

/** Shows a value with its kind and all its digits, which an answer of Redis would lose. */
const SHOW = `
  local function show(value)
    if type(value) == 'number' then return string.format('%.17g', value) end
    if type(value) == 'string' then return '"' .. value .. '"' end
    if type(value) ~= 'table' then return tostring(value) end
    local shown = '{'
    for _, one in ipairs(value) do shown = shown .. show(one) .. ';' end
    return shown .. '}'
  end`

async function shown(through: RedisPort, sample: string): Promise<Reply> {
  const key = keyOf({ namespace: '', pattern: 'test', name: 'lua' }, randomUUID())
  const source = `${SHOW}\n local function main()\n ${sample}\n end\n return show(main())`
  const script: ScriptSource = { name: 'sample', keys: ['key'], args: [], sha1: '0'.repeat(40), source }
  return await through.call({ script, keys: [key], args: [] }, { binary: true })
}

const inMemory = memoryPort({ scripts: compiledTwin })

describe('a twin returns what the server returns:', () => {
  it.each([
    "return { 7 % 3, -7 % 3, 2 ^ 10, 7 / 2, '10' + 5 }",
    "return { tonumber('0x1F'), tonumber(' 12 '), tonumber('1e3'), tonumber('zz') or 'none', tonumber('ff', 16) }",
    "return { string.sub('hello', 2, 3), string.sub('hello', -3), string.sub('hello', 0), string.sub('hello', 4, 99), string.sub('hello', 3, 2) }",
    "return { string.format('%.0f', 2^53), string.format('%05d|%-4s|%x', 42, 'ab', 255), string.format('%.0f', 0.5), string.format('%.0f', 1.5) }",
    "return { tostring(1e15), tostring(123456789012345), 1 .. '' }",
    'local t = { 1, 2, 3 } t[#t + 1] = 4 table.insert(t, 1, 0) return { #t, table.remove(t), #t, unpack(t) }',
    'local a, b = 1, 2 a, b = b, a return { a, b }',
    'local a = 1 local a = a + 1 do local a = 5 end return a',
    'local s = 0 for i = 10, 1, -3 do s = s + i end return s',
    'local s = 0 for i = 1, 5 do if i == 4 then break end s = s + i i = 9 end return s',
    "local s = '' for i, v in ipairs({ 'a', 'b' }) do s = s .. i .. v end return s",
    'local function twice(x) return x, x * 2 end local a, b = twice(4) return { a, b, twice(1) }',
    'local i = 0 repeat local done = i >= 3 i = i + 1 until done return i',
    'local i = 0 while i < 3 and not (i == 2) do i = i + 1 end return i',
    "return { false or 'x', nil and 1 or 'y', 0 and 'zero', '' and 'empty' }",
    "local t = { a = 1, ['b'] = 2, 9 } t.c = t.a + t['b'] return { t.c, t[1], #t }",
    'local new, class = 1, 2 return new + class',
    "return { string.find('a.b.c', '.', 3, true) }",
    "return { string.find('abc', 'z', 1, true) or 'none', string.find('a+', '+', 1, true), #'x' }",
    "return { struct.unpack('>I2d', struct.pack('>I2d', 513, 1.5)) }",
    "return { string.byte('A'), string.char(255, 0), string.upper('aö'), string.rep('ab', 2) }",
    'return { math.max(1, 3, 2), math.min(4, 2), math.floor(-1.5), math.ceil(-1.5), math.abs(-2) }',
    'return { 1/3, 1e100, -0.5, 123456789.123, 2^63, 1e-7, 0.1 + 0.2 }',
    'return { tostring(1/3), tostring(2.5), tostring(-1e20), tostring(123456789012355), tostring(0.1) }',
    "return { string.format('%g|%.3g|%.2f|%d|%s', 1e10, 1234.5, 2.675, -7, 'x') }",
  ])('%s', async (sample) => {
    expect(await shown(inMemory, sample)).toEqual(await shown(port, sample))
  })

  it.each([
    "return 1 < '2'",
    "return 'a' + 1",
    'return nil .. 1',
    'local t t.x = 1',
    'return #nil',
    "return error('no')",
  ])('and fails where the server fails: %s', async (sample) => {
    await expect(shown(port, sample)).rejects.toThrow(/^ERR/)
    await expect(shown(inMemory, sample)).rejects.toThrow(/^ERR/)
  })
})
