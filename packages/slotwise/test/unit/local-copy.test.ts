import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copyOf, isTree } from '../../src/cache/local/copy.js'
import { frozen } from '../../src/cache/local/freeze.js'

/** Every object in it. */
function objectsIn(value: unknown): ReadonlySet<object> {
  if (typeof value !== 'object' || value === null) return new Set()
  return new Set([value, ...Object.values(value).flatMap((part) => [...objectsIn(part)])])
}

const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))

describe('a copy', () => {
  it('is the same, and shares nothing that can be changed, whatever comes from JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value)
        // Names like `__proto__` are properties of what is parsed.
        const parsed: unknown = JSON.parse(text)
        expect(isTree(parsed)).toBe(true)
        const copy = copyOf(parsed)
        expect(JSON.stringify(copy)).toBe(text)
        const mine = objectsIn(parsed)
        for (const object of objectsIn(copy)) expect(mine.has(object)).toBe(false)
      }),
    )
  })

  it('is only made of what it can be equal to', () => {
    fc.assert(
      fc.property(fc.anything({ withDate: true, withMap: true, withSparseArray: true }), (value) => {
        expect(isTree(value) ? copyOf(value) : value).toStrictEqual(value)
      }),
    )
  })

  const twice = { a: 1 }
  const cycle: { self?: object } = {}
  cycle.self = cycle
  it.each<[string, unknown]>([
    ['a Date', { at: new Date(0) }],
    ['a Map', [new Map()]],
    ['bytes', Buffer.from('x')],
    ['an instance', new Error('x')],
    ['without a prototype', Object.create(null)],
    ['a function', { act: () => 1 }],
    [
      'an accessor',
      {
        get a() {
          return 1
        },
      },
    ],
    ['a symbol', { [Symbol('a')]: 1 }],
    ['what is not enumerated', Object.defineProperty({}, 'a', { value: 1 })],
    ['holes', Object.assign([], { 1: 1 })],
    ['a list with a name', Object.assign([1], { name: 1 })],
    ['the same in two places', [twice, twice]],
    ['itself', cycle],
    ['no end of brackets', nested(5000)],
  ])('is not made of %s', (_, value) => {
    expect(isTree(value)).toBe(false)
  })
})

it('what is nested without end is not frozen through and through, and no error', () => {
  expect(frozen(nested(100))).toBe(true)
  expect(frozen(nested(5000))).toBe(false)
})
