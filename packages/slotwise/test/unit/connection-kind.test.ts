import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { connectionFor } from '../../src/redis/connection-kind.js'

describe('a command', () => {
  it.each([
    [['GET', 'k']],
    [['XREAD', 'COUNT', 1, 'STREAMS', 'BLOCK', '0']],
    [['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'k', '>']],
    [['CLIENT', 'LIST']],
    [['lpop', 'k']],
  ] as const)('shares the connection: %s', (command) => {
    expect(connectionFor(command)).toBe('shared')
  })

  it.each([
    [['blpop', 'k', 0]],
    [['BZMPOP', 1, 1, 'k', 'MIN']],
    [['XREAD', 'COUNT', 1, 'block', 0, 'STREAMS', 'k', '$']],
    [['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 5, 'STREAMS', 'k', '>']],
  ] as const)('that may block has a connection of its own: %s', (command) => {
    expect(connectionFor(command)).toBe('dedicated')
  })

  it.each([
    [['watch', 'k']],
    [['client', 'Reply', 'OFF']],
    [['SSUBSCRIBE', 'c']],
    [['waitaof', 1, 1, 0]],
  ] as const)('that would change or misuse the shared one is refused: %s', (command) => {
    expect(() => connectionFor(command)).toThrow(ConfigurationError)
  })
})
