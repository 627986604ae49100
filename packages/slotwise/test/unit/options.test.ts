import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { integer, oneOf, positive, shown } from '../../src/options.js'

const refusal = (check: () => unknown) => {
  try {
    check()
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message
    throw error
  }
  return undefined
}

describe('a whole number among the options', () => {
  it.each([
    [1, undefined],
    [Number.MAX_SAFE_INTEGER, undefined],
    [0, { min: 0 }],
    [5, { min: 5, max: 5 }],
  ])('may be %s within %o', (value, range) => {
    expect(integer('ttlMs', value, range)).toBe(value)
  })

  it.each([
    [0, 'ttlMs must be a whole number at least 1, got 0'],
    [-1, 'ttlMs must be a whole number at least 1, got -1'],
    [1.5, 'ttlMs must be a whole number at least 1, got 1.5'],
    [Number.NaN, 'ttlMs must be a whole number at least 1, got NaN'],
    [Infinity, 'ttlMs must be a whole number at least 1, got Infinity'],
    [2 ** 53, 'ttlMs must be a whole number at least 1, got 9007199254740992'],
    ['5', 'ttlMs must be a whole number at least 1, got "5"'],
    [5n, 'ttlMs must be a whole number at least 1, got 5n'],
    [undefined, 'ttlMs must be a whole number at least 1, got undefined'],
    [{}, 'ttlMs must be a whole number at least 1, got [object Object]'],
  ])('may not be %s, and the message quotes it', (value, message) => {
    expect(refusal(() => integer('ttlMs', value))).toBe(message)
  })

  it('names its range when it has an end', () => {
    expect(refusal(() => integer('port', 0, { max: 65_535 }))).toBe(
      'port must be a whole number from 1 to 65535, got 0',
    )
  })
})

describe('a positive number among the options', () => {
  it.each([0.1, 1, Number.MAX_VALUE])('may be %s', (value) => {
    expect(positive('refillPerSecond', value)).toBe(value)
  })

  it.each([0, -1, Number.NaN, Infinity, '1', undefined])('may not be %s', (value) => {
    expect(refusal(() => positive('refillPerSecond', value))).toBe(
      `refillPerSecond must be a number above 0, got ${shown(value)}`,
    )
  })
})

describe('a word among the options', () => {
  it('is one of those allowed', () => {
    expect(oneOf('mode', 'strict', ['strict', 'estimate'])).toBe('strict')
    expect(refusal(() => oneOf('mode', 'toString', ['strict', 'estimate']))).toBe(
      'mode must be one of strict, estimate, got "toString"',
    )
    expect(refusal(() => oneOf('mode', undefined, ['strict']))).toBe(
      'mode must be one of strict, got undefined',
    )
  })
})

describe('a value quoted in a message', () => {
  it('cannot garble a terminal or fill a log', () => {
    expect(shown('\u001b[2J\n')).toBe('"\\u001b[2J\\n"')
    expect(shown('x'.repeat(1_000))).toHaveLength(78)
    expect(shown([1, 2])).toBe('[object Array]')
    expect(shown(null)).toBe('null')
    expect(shown(Symbol('a'))).toBe('Symbol(a)')
  })

  it('is not asked for a text of its own, which could throw or tell a secret', () => {
    const secret = {
      toString: () => {
        throw new Error('never')
      },
    }
    expect(shown(secret)).toBe('[object Object]')
  })
})
