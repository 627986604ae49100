import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { type Id, type KeySpace, keyOf, keyWithin, plainName, readKey } from '../../src/keys.js'
import { SLOTS, slotOf } from '../../src/slots.js'
import { rounds } from '../support/budget.js'

/** Everything that means something in a key, and what escapes look like, so that collisions would be near. */
const SHARP = [
  ...'a%:{}@#u0257b'.split(''),
  '',
  '\0',
  ' ',
  '\n',
  '😀',
  '\ud800',
  '\udc00',
  '\ufffd',
  '\u00a0',
  '\u2028',
]

const space: KeySpace = { namespace: 'shop', pattern: 'cache', name: 'comments' }

/** What Redis compares: bytes, not text. */
const bytesOf = (key: string) => Buffer.from(key).toString('hex')

const part = fc.oneof(
  fc.string({ unit: fc.constantFrom(...SHARP), maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', ':', '😀', '\ud800'), minLength: 100, maxLength: 300 }),
)
const id: fc.Arbitrary<Id> = fc.oneof(
  part,
  fc.array(fc.oneof(part, fc.maxSafeInteger(), fc.bigInt()), { minLength: 1, maxLength: 4 }),
)
const name = fc.stringMatching(/^[a-z0-9._-]{1,6}$/)
const anySpace: fc.Arbitrary<KeySpace> = fc.record({
  namespace: fc.oneof(fc.constant(''), name),
  pattern: fc.constantFrom('cache', 'lock'),
  name,
  tenant: fc.option(part, { nil: undefined }),
})

/** The same for two ids exactly if they are the same id by the words of `Id`. */
const canonical = (value: Id) => JSON.stringify(typeof value === 'string' ? [value] : value.map(String))

describe('a key', () => {
  it('is its own for every id and every tenant, however their characters are chosen', () => {
    const keys = new Map<string, string>()
    // The last two would meet U+2028 and U+2029 if escapes had no fixed length.
    const words = ['', ...SHARP, ...SHARP.flatMap((a) => SHARP.map((b) => a + b)), ' 28', ' 29']
    // Some words come about twice ('\ud800' + '\udc00' is a pair); as a set they are different.
    const distinct = [...new Set(words)]
    const short = [...new Set(['', ...SHARP])]
    const add = (what: unknown, key: string) => {
      const before = keys.get(bytesOf(key))
      expect(before, `${JSON.stringify(what)} has the key of ${before}`).toBeUndefined()
      keys.set(bytesOf(key), JSON.stringify(what))
    }
    for (const word of distinct) add([word], keyOf(space, word))
    for (const a of short) {
      for (const b of distinct) {
        add([a, b], keyOf(space, [a, b]))
        add({ tenant: a, id: b }, keyOf({ ...space, tenant: a }, b))
      }
    }
    const two = distinct.filter((word) => word.length > 1 && !short.includes(word))
    for (const a of two) for (const b of short) add([a, b], keyOf(space, [a, b]))
    for (const a of short) {
      for (const b of short) for (const c of short) add([a, b, c], keyOf(space, [a, b, c]))
    }
    expect(keys.size).toBeGreaterThan(20_000)
  })

  test('never meets another one: different spaces or ids give different keys, equal ones give equal keys', () => {
    fc.assert(
      fc.property(anySpace, anySpace, id, id, (spaceA, spaceB, a, b) => {
        const same = (x: KeySpace, y: KeySpace) =>
          x.namespace === y.namespace && x.pattern === y.pattern && x.name === y.name && x.tenant === y.tenant
        for (const [x, y] of [
          [spaceA, spaceB],
          [spaceA, { ...spaceA, tenant: spaceB.tenant }],
          [spaceA, { ...spaceA }],
        ] as const) {
          const equal = same(x, y) && canonical(a) === canonical(b)
          expect(bytesOf(keyOf(x, a)) === bytesOf(keyOf(y, b))).toBe(equal)
        }
      }),
      { numRuns: rounds(2_000, 100_000) },
    )
  })

  test('has exactly one pair of braces, and they decide its slot', () => {
    fc.assert(
      fc.property(anySpace, id, (where, what) => {
        const key = keyOf(where, what)
        const [, tag = '', ...others] = key.split(/[{}]/)
        expect(others).toEqual([''])
        expect(tag).not.toBe('')
        expect(slotOf(key)).toBe(slotOf(tag))
        expect(slotOf(keyOf({ ...where, pattern: 'other', name: 'else' }, what))).toBe(slotOf(key))
      }),
      { numRuns: rounds(2_000, 100_000) },
    )
  })

  test('is short and printable, whatever the id', () => {
    fc.assert(
      fc.property(anySpace, id, (where, what) => {
        const key = keyOf(where, what)
        expect(key.length).toBeLessThan(3 * 64 + 2 * 128 + 10)
        // A half of a surrogate pair would become U+FFFD in UTF-8, and meet other halves there.
        expect(Buffer.from(key).toString()).toBe(key)
        expect(key).not.toMatch(/[\p{Cc}\s*?[\]\\]/u)
      }),
      { numRuns: rounds(2_000, 100_000) },
    )
  })

  it('of 10,000 characters differs by its last one', () => {
    const long = 'x'.repeat(9_999)
    expect(keyOf(space, `${long}a`)).not.toBe(keyOf(space, `${long}b`))
    expect(keyOf(space, `${long}a`)).toBe(keyOf(space, `${long}a`))
    expect(keyOf({ ...space, tenant: `${long}a` }, 'i')).not.toBe(
      keyOf({ ...space, tenant: `${long}b` }, 'i'),
    )
    expect(keyOf(space, `${long}a`).length).toBeLessThan(100)
  })

  it('cannot be chosen so that it equals the hash that stands for a long one', () => {
    const hashed = keyOf(space, 'x'.repeat(1_000))
    const tag = /\{(.*)\}/.exec(hashed)?.[1] ?? ''
    expect(tag).toMatch(/^#/)
    expect(keyOf(space, tag)).not.toBe(hashed)
  })

  it('reads as it was written where nothing needs care', () => {
    expect(keyOf(space, 'c42')).toBe('shop:cache:comments:{c42}')
    expect(keyOf({ ...space, namespace: '' }, ['c', 42])).toBe('cache:comments:{c:42}')
    expect(keyOf({ ...space, tenant: 'acme' }, 'c42')).toBe('shop:cache:comments:{@acme:c42}')
    expect(keyOf(space, 'Zürich 😀')).toBe('shop:cache:comments:{Zürich%20😀}')
  })

  it('is the same for 7, 7n and "7"', () => {
    expect(keyOf(space, [7])).toBe(keyOf(space, '7'))
    expect(keyOf(space, [7n])).toBe(keyOf(space, ['7']))
    expect(keyOf(space, [-0])).toBe(keyOf(space, '0'))
  })

  it.each([
    ['1.5', [1.5]],
    ['NaN', [Number.NaN]],
    ['2^53, where numbers begin to skip', [2 ** 53]],
    ['an empty array', []],
    ['undefined', undefined],
    ['null', null],
    ['a number by itself', 7],
    ['an object', { id: 7 }],
    ['an object as a part', [{}]],
    ['undefined as a part', ['a', undefined]],
  ])('refuses %s as an id', (_, bad) => {
    expect(() => keyOf(space, bad as Id)).toThrow(ConfigurationError)
  })
})

describe('a key that is read back', () => {
  const isHashed = (words: Id) => /\{(.*)\}/.exec(keyOf(space, words))?.[1]?.startsWith('#') === true

  test('tells whose it is and of which thing, and of long words that it holds only their hash', () => {
    fc.assert(
      fc.property(anySpace, id, ({ tenant, ...where }, what) => {
        const read = readKey(keyOf({ ...where, tenant }, what))
        expect(read).toMatchObject(where)
        const words = typeof what === 'string' ? [what] : what.map(String)
        expect(read?.id.hashed).toBe(isHashed(what))
        if (read?.id.hashed === false) expect(read.id.words).toEqual(words)
        if (tenant === undefined) expect(read).not.toHaveProperty('tenant')
        else expect(read?.tenant?.hashed).toBe(isHashed(tenant))
        if (read?.tenant?.hashed === false) expect(read.tenant.words).toBe(tenant)
      }),
      { numRuns: rounds(2_000, 100_000) },
    )
  })

  test('tells of a limit in the slot of another key what both are, and lies in that slot', () => {
    fc.assert(
      fc.property(anySpace, id, id, ({ tenant, ...where }, common, what) => {
        const slot = keyOf({ ...where, tenant, pattern: 'ratelimit' }, common)
        const key = keyWithin(slot, what)
        expect(slotOf(key)).toBe(slotOf(slot))
        const read = readKey(key)
        expect(read).toMatchObject({ ...where, pattern: 'ratelimit', within: readKey(slot)?.id })
        expect(read?.tenant).toEqual(readKey(slot)?.tenant)
        expect(read?.id).toEqual(readKey(keyOf({ ...where, pattern: 'ratelimit' }, what))?.id)
        expect(readKey(keyWithin(keyOf({ ...where, pattern: 'cache' }, common), what))).toBeUndefined()
      }),
      { numRuns: rounds(2_000, 100_000) },
    )
  })

  test('is one that would be made again: no other text passes for a key of ours', () => {
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...'ab:@#%{}u02f'.split('')), maxLength: 24 }),
      fc
        .string({ unit: fc.constantFrom(...'ab:@#%u02f'.split('')), minLength: 1, maxLength: 12 })
        .map((tag) => `shop:cache:c:{${tag}}`),
      fc
        .tuple(
          ...[8, 8].map((maxLength) =>
            fc.string({ unit: fc.constantFrom(...'ab:@#%u02f'.split('')), minLength: 1, maxLength }),
          ),
        )
        .map(([tag, inside]) => `shop:ratelimit:c:{${tag}}:${inside}`),
    )
    fc.assert(
      fc.property(text, (key) => {
        const read = readKey(key)
        if (read === undefined || read.id.hashed || read.tenant?.hashed === true) return
        const within = read.within ?? read.id
        if (within.hashed) return
        const slot = keyOf({ ...read, tenant: read.tenant?.words }, within.words)
        expect(read.within === undefined ? slot : keyWithin(slot, read.id.words)).toBe(key)
      }),
      { numRuns: rounds(5_000, 100_000) },
    )
  })

  it.each([
    'plain',
    'cache:{a}',
    'a:b:c:d:{a}',
    'shop:cache:c:{a}:more',
    'shop:ratelimit:c:{a}:',
    'shop:ratelimit:c:{a}:{b}',
    'shop:ratelimit:c:{a}:%41',
    'shop:ratelimit:c:{a}more',
    'shop:cache:c:{}',
    'shop:cache:c:{a@b}',
    'shop:cache:c:{@acme}',
    'shop:cache:c:{a b}',
    'shop:cache:c:{%41}',
    'shop:cache:c:{#short}',
    `shop:cache:c:{${'x'.repeat(129)}}`,
    '',
  ])('is not %j', (other) => {
    expect(readKey(other)).toBeUndefined()
  })
})

describe('the ids of a tenant', () => {
  it('spread over the slots as if they were random', () => {
    const slots = new Set(
      Array.from({ length: 10_000 }, (_, i) => slotOf(keyOf({ ...space, tenant: 'acme' }, `c${i}`))),
    )
    // 10,000 balls in 16,384 boxes hit 7,485 of them on average, with a standard deviation of 40.
    const expected = SLOTS * (1 - (1 - 1 / SLOTS) ** 10_000)
    expect(slots.size).toBeGreaterThan(expected - 400)
    expect(slots.size).toBeLessThan(expected + 400)
  })
})

describe('a plain name', () => {
  it.each(['comments', 'a', 'A_b-c.9', 'x'.repeat(64)])('may be %s', (good) => {
    expect(plainName('name', good)).toBe(good)
  })

  it.each(['', 'a:b', 'a b', '{a}', 'ä', 'a\n', 'x'.repeat(65), undefined, 7])('may not be %j', (bad) => {
    expect(() => plainName('name', bad)).toThrow(/^name must be 1 to 64 letters/)
    expect(() => plainName('name', bad)).toThrow(ConfigurationError)
  })
})
