import { describe, expect, it } from 'vitest'
import { LuaSyntaxError } from '../lua/parse.js'
import { bodyOf, twinModuleOf, twinPathOf } from '../lua/twin/module.js'

describe('the twin of a script', () => {
  const file = { path: 'p/src/ratelimit/count.lua', sourceRoot: 'p/src' }
  const text =
    "-- Counts.\n--\n-- @key k\n-- @return n\nlocal new = redis.call('GET', KEYS[1])\nlocal new = new or 1\nreturn new\n"

  it('lies apart from what is shipped with the pattern, and goes by the hash of the text that is sent', () => {
    expect(twinPathOf(file)).toBe('p/src/testing/scripts/ratelimit/count.lua.ts')
    const made = twinModuleOf(file, text)
    expect(made).toContain("import * as lua from '../../lua/index.js'")
    expect(made).toMatch(/sha1: '[0-9a-f]{40}'/)
  })

  it('gives every local a name of its own, which no word of TypeScript is', () => {
    expect(bodyOf(text, { typed: false })).toBe(
      [
        'let new$1 = redis.call("GET", lua.index(redis.KEYS, 1))',
        'let new$2 = lua.or(new$1, () => 1)',
        'return new$2',
      ].join('\n'),
    )
  })
})

describe('what has no twin is refused by its line when it is generated:', () => {
  it.each([
    ['\nreturn string.gsub(ARGV[1], "a", "b")', 'string.gsub'],
    ['\nreturn cjson.decode(ARGV[1])', 'cjson.decode'],
    ['\nlocal function f(...) return 1 end return f()', 'any number of arguments'],
    ['\nfor k in next, {} do end return 1', 'iterator'],
  ])('%s', (source, what) => {
    expect(() => bodyOf(source, { typed: true })).toThrow(LuaSyntaxError)
    expect(() => bodyOf(source, { typed: true })).toThrow(what)
    try {
      bodyOf(source, { typed: true })
    } catch (error) {
      expect((error as LuaSyntaxError).line).toBe(2)
    }
  })
})
