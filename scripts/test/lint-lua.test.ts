import { describe, expect, it } from 'vitest'
import { lintLua } from '../lua/lint.js'

const HEADER = '-- Counts.\n-- @key state\n-- @arg limit how many\n-- @return {n}\n'
const USES = 'local limit, state = tonumber(ARGV[1]), KEYS[1]\n'

/** What the linter says of a body under a header of one key and one argument, both used. */
const complaints = (body: string) => lintLua(`${HEADER}${USES}${body}\n`).map(({ message }) => message)

/** Of a script with a header of its own. */
const whole = (...lines: string[]) => lintLua(`${lines.join('\n')}\n`).map(({ message }) => message)

describe('the Lua linter accepts', () => {
  it.each([
    "return redis.call('HGET', KEYS[1], 'n')",
    "return redis.call('hget', state, 'n')",
    "local again = state return redis.call('GET', again)",
    "redis.call('TIME') return redis.pcall('DEL', state)",
    "return redis.call('ZUNIONSTORE', state, 1, KEYS[1])",
    "return redis.call('XREAD', 'COUNT', 1, 'STREAMS', state, '0')",
    'for i = 1, 10 do limit = limit + i end',
    'for i = 10, -1, -1 do limit = limit + i end',
    '-- bound: the fields of one record\nfor k, v in pairs({}) do local _ = k, v end',
    'while limit > 1 do -- bound: 53 halvings\n limit = limit / 2 end',
    '-- bound: 53 halvings,\n-- since limit is below 2^53\nwhile limit > 1 do limit = limit / 2 end',
    "return 'limit:' .. string.format('%.0f', limit)",
    'return tostring(limit > 1)',
    'local function twice(n) return n * 2 end return twice(limit)',
  ])('%s', (body) => {
    expect(complaints(body)).toEqual([])
  })

  it('a call of what it includes', () => {
    expect(complaints('-- include: other.lua\nreturn other({ KEYS[1] }, { limit })')).toEqual([])
    expect(complaints('return other({ KEYS[1] }, { limit })')).toEqual(['other is declared nowhere'])
  })

  it('a part of scripts that has no key, where a script needs one', () => {
    const part = '-- Counts.\n-- @arg n how many\n-- @return n, n\nreturn ARGV[1], ARGV[1]\n'
    expect(lintLua(part, { isPart: true })).toEqual([])
    expect(lintLua(part)).toMatchObject([{ message: expect.stringContaining('at least one @key') as string }])
  })

  it('as many arguments as the header calls for by dots', () => {
    expect(
      whole(
        '-- Adds.',
        '-- @key state',
        '-- @arg first one',
        '-- @arg more... the others',
        '-- @return n',
        "redis.call('SADD', KEYS[1], ARGV[1])",
        "for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end",
        'for _, item in ipairs(ARGV) do local _ = item end',
      ),
    ).toEqual([])
  })
})

describe('the Lua linter refuses', () => {
  it.each([
    [
      'a key that the header does not have',
      "return redis.call('GET', KEYS[2])",
      /KEYS\[2] is not in the header/,
    ],
    ['an argument that the header does not have', 'return ARGV[2]', /ARGV\[2] is not in the header/],
    ['index 0, which is nothing in Lua', 'return ARGV[0]', /ARGV\[0] is not in the header/],
    ['a key at a computed place', 'return KEYS[limit]', /KEYS as a whole or at a computed place/],
    ['an argument at a computed place', 'return ARGV[limit]', /needs a last `@arg name...`/],
    ['arguments handed on as a whole', 'return unpack(ARGV)', /needs a last `@arg name...`/],
    ['a name declared nowhere', 'return limt', /limt is declared nowhere/],
    ['a name used behind its block', 'do local a = 1 end return a', /a is declared nowhere/],
    ['a name used in its own declaration', 'local a = a', /a is declared nowhere/],
    ['a library that Redis does not give', 'return os.time()', /os is declared nowhere/],
    ['a written global', 'count = 1', /count is written without `local`/],
    ['a global function', 'function f() end', /f is written without `local`/],
    ['random numbers that repeat', 'return math.random(10)', /math.random gives the same numbers/],
    [
      'a key made by hand',
      "return redis.call('GET', 'a' .. 'b')",
      /argument 1 is a key and must be KEYS\[n]/,
    ],
    ['a key out of a literal', "return redis.call('DEL', KEYS[1], 'other')", /argument 2 is a key/],
    ['a key from a field', "local t = {KEYS[1]} return redis.call('GET', t[1])", /argument 1 is a key/],
    [
      'an alias that was given another value',
      "state = limit return redis.call('GET', state)",
      /argument 1 is a key/,
    ],
    ['a shadowed alias', "do local state = limit redis.call('GET', state) end", /argument 1 is a key/],
    ['a shard channel that is no key', "redis.call('SPUBLISH', 'news', 'x')", /argument 1 is a key/],
    ['a key behind a count', "redis.call('ZUNIONSTORE', state, 2, KEYS[1], 'b')", /argument 4 is a key/],
    ['a stream that is no key', "redis.call('XREAD', 'STREAMS', 'a', '0')", /argument 2 is a key/],
    ['a count that cannot be read', "redis.call('ZUNION', limit, KEYS[1])", /how many keys ZUNION takes/],
    ['a missing key', "redis.call('GET')", /argument 1 is a key/],
    ['a command over all slots', "redis.call('SCAN', '0')", /SCAN is not among the commands/],
    ['a command made at run time', 'redis.call(limit)', /must be a plain string/],
    ['redis.call under another name', 'local call = redis.call', /must be called where it stands/],
    ['redis.call by index', "redis['call']('SCAN', 0)", /write redis.call/],
    ['while without a bound', 'while limit > 0 do limit = limit - 1 end', /a loop needs literal bounds/],
    ['repeat without a bound', 'repeat limit = limit - 1 until limit < 0', /a loop needs literal bounds/],
    ['for up to an argument', 'for i = 1, limit do local _ = i end', /a loop needs literal bounds/],
    ['pairs without a bound', 'for k in pairs({}) do local _ = k end', /a loop needs literal bounds/],
    [
      'a bound that is not beside its loop',
      '-- bound: 3\n\nwhile limit > 0 do limit = 0 end',
      /a loop needs/,
    ],
    ['tostring of a number', 'return tostring(limit)', /tostring keeps 14 digits/],
    ['a number joined to text', "return 'n' .. limit * 2", /`\.\.` keeps 14 digits/],
    ['a numeric local joined to text', "local n = limit + 1 return n .. ''", /`\.\.` keeps 14 digits/],
    ['what is no Lua 5.1', 'goto done', /'=' expected/],
  ])('%s', (_, body, message) => {
    expect(complaints(body)).toEqual([expect.stringMatching(message)])
  })

  it.each([
    ['no header', ['return 1'], /begins with a comment that says what it is for/],
    ['a header without a purpose', ['-- @key a', '-- @return n', 'return KEYS[1]'], /says what it is for/],
    ['a header without a key', ['-- Adds.', '-- @return n', 'return 1'], /needs at least one @key/],
    ['a header without @return', ['-- Adds.', '-- @key a', 'return KEYS[1]'], /lacks @return/],
    [
      'an empty @return',
      ['-- Adds.', '-- @key a', '-- @return', 'return KEYS[1]'],
      /must say what comes back/,
    ],
    [
      'two @return',
      ['-- Adds.', '-- @key a', '-- @return n', '-- @return m', 'return KEYS[1]'],
      /second @return/,
    ],
    ['a tag nobody knows', ['-- Adds.', '-- @param a', '-- @return n', 'return 1'], /unknown tag @param/],
    ['a name that is none', ['-- Adds.', '-- @key A-b', '-- @return n', 'return 1'], /"A-b" is no name/],
    [
      'a name twice',
      ['-- Adds.', '-- @key a', '-- @arg a b', '-- @return n', 'return 1'],
      /a is declared twice/,
    ],
    [
      'an argument without words',
      ['-- Adds.', '-- @key a', '-- @arg b', '-- @return n'],
      /must say what it is/,
    ],
    [
      'dots in the middle',
      ['-- Adds.', '-- @key a', '-- @arg b... x', '-- @arg c x', '-- @return n'],
      /nothing can follow/,
    ],
    [
      'an unused key',
      ['-- Adds.', '-- @key a', '-- @return n', 'return 1'],
      /@key a is never read as KEYS\[1]/,
    ],
    [
      'an unused argument',
      ['-- Adds.', '-- @key a', '-- @arg b x', '-- @return n', 'return KEYS[1]'],
      /@arg b is never read/,
    ],
    [
      'unused dots',
      ['-- Adds.', '-- @key a', '-- @arg b... x', '-- @return n', 'return KEYS[1]'],
      /b\.\.\. is never read/,
    ],
  ])('%s', (_, lines, message) => {
    expect(whole(...lines)).toEqual([expect.stringMatching(message)])
  })

  it('and names the line', () => {
    expect(lintLua(`${HEADER}${USES}\n\nreturn nowhere\n`)).toEqual([
      { line: 8, message: 'nowhere is declared nowhere' },
    ])
  })
})
