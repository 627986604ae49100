import { readFileSync } from 'node:fs'
import {
  ConfigurationError,
  ImpossibleChangeError,
  KeyTooLargeError,
  RedisUnavailableError,
  ReplyError,
  SlotMigrationError,
  UnhealthyClusterError,
} from 'slotwise'
import { describe, expect, it } from 'vitest'
import { EXIT, Refusal, told, traces } from '../../src/exit.js'

describe('exit codes', () => {
  it('are those of the documentation, and no others', () => {
    const page = readFileSync(new URL('../../../../docs/cli.md', import.meta.url), 'utf8')
    const [, section = ''] = page.split('### Exit codes')
    const codes = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| (\d+) \|/gm)].map(([, code]) =>
      Number(code),
    )
    expect(codes).toEqual(Object.values(EXIT))
  })

  it.each([
    [new ConfigurationError('x'), EXIT.usage],
    [new RedisUnavailableError('x'), EXIT.unreachable],
    [new UnhealthyClusterError('x'), EXIT.finding],
    [new ReplyError('OOM x'), EXIT.finding],
    [new ImpossibleChangeError('x'), EXIT.finding],
    [new SlotMigrationError('x', { slots: '0-9', from: 'h:1', to: 'h:2' }), EXIT.finding],
    [new Refusal('x'), EXIT.usage],
    [new TypeError('x is no function'), EXIT.bug],
  ])('follow the kind of error: %s', (error, exitCode) => {
    expect(told(error).exitCode).toBe(exitCode)
  })
})

describe('an error of the library', () => {
  it('is told by the names that options have here', () => {
    const words = (message: string) => told(new ConfigurationError(message)).message
    expect(words('n1 refuses the user name or password: check `username` and `password`')).toMatch(
      /check --user and --password-file$/,
    )
    expect(words('n1 asks for a password: set password')).toMatch(/--ask-password or SLOTWISE_PASSWORD$/)
    expect(words('the certificate is not trusted: give its `ca` in `tls`')).toMatch(/by --ca FILE$/)
  })

  it('names the node underneath, and the way out', () => {
    const cause = new RedisUnavailableError('cannot reach n2')
    expect(told(new UnhealthyClusterError('a node cannot be reached', { cause })).message).toBe(
      'a node cannot be reached: cannot reach n2',
    )
    expect(told(new KeyTooLargeError('k', 2e8, { slot: 1, node: 'n1', halfMoved: false })).message).toContain(
      '--max-key-bytes',
    )
  })

  it('shows its causes to who debugs, and no property, where clients keep what they sent', () => {
    const cause = Object.assign(new Error('inner'), { command: { name: 'auth', args: ['hunter2'] } })
    const text = traces(new ConfigurationError('outer', { cause }))
    expect(text).toMatch(/ConfigurationError: outer\n {4}at [\s\S]*caused by Error: inner\n {4}at /)
    expect(text).not.toContain('hunter2')
    expect(traces(new AggregateError([cause], 'all'))).toContain('caused by Error: inner')
  })
})
