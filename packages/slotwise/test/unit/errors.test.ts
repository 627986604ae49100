import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as errors from '../../src/errors.js'

/** One of each, as the package makes them. */
const one = [
  new errors.ConfigurationError('m'),
  new errors.CrossSlotError([
    { key: 'a', slot: 1 },
    { key: 'b', slot: 2 },
  ]),
  new errors.RedisUnavailableError('m', { node: 'h:1', cause: new Error('deep') }),
  new errors.OutcomeUnknownError('m', { node: 'h:1' }),
  new errors.SlotMovingError(7),
  new errors.ReplyError('WRONGTYPE Operation against a key'),
  new errors.UnexpectedReplyError('m'),
  new errors.ClosedError('m'),
  new errors.InvalidationPendingError('m', { settled: Promise.resolve(true) }),
  new errors.UncacheableValueError('m'),
  new errors.UnstorableResultError('m'),
  new errors.LoadTimeoutError('m'),
  new errors.OriginBusyError('m'),
  new errors.BatchFencedError('m'),
  new errors.BatchTimeoutError('m'),
  new errors.LockBusyError('r', 5),
  new errors.LockUnavailableError('r'),
  new errors.LockLostError('r', 'taken'),
  new errors.StaleTokenError('k', 1n, 2n),
  new errors.ServerNotFoundError('m'),
  new errors.LocalServerError('m', { log: 'l' }),
  new errors.ForeignClusterError('m', { node: 'h:1' }),
  new errors.UnhealthyClusterError('m'),
  new errors.ImpossibleChangeError('m'),
  new errors.KeyTooLargeError('k', 5e8, { slot: 7, node: 'h:1', halfMoved: false }),
  new errors.SlotMigrationError('r', { slots: '0-9', from: 'h:1', to: 'h:2' }),
]

describe('the errors', () => {
  it('keep their codes, which callers branch on', () => {
    expect(Object.fromEntries(one.map((error) => [error.name, error.code]))).toEqual({
      ConfigurationError: 'CONFIGURATION',
      CrossSlotError: 'CROSS_SLOT',
      RedisUnavailableError: 'REDIS_UNAVAILABLE',
      OutcomeUnknownError: 'OUTCOME_UNKNOWN',
      SlotMovingError: 'SLOT_MOVING',
      ReplyError: 'REPLY',
      UnexpectedReplyError: 'UNEXPECTED_REPLY',
      ClosedError: 'CLOSED',
      InvalidationPendingError: 'INVALIDATION_PENDING',
      UncacheableValueError: 'UNCACHEABLE_VALUE',
      UnstorableResultError: 'UNSTORABLE_RESULT',
      LoadTimeoutError: 'LOAD_TIMEOUT',
      OriginBusyError: 'ORIGIN_BUSY',
      BatchFencedError: 'BATCH_FENCED',
      BatchTimeoutError: 'BATCH_TIMEOUT',
      LockBusyError: 'LOCK_BUSY',
      LockUnavailableError: 'LOCK_UNAVAILABLE',
      LockLostError: 'LOCK_LOST',
      StaleTokenError: 'STALE_TOKEN',
      ServerNotFoundError: 'SERVER_NOT_FOUND',
      LocalServerError: 'LOCAL_SERVER',
      ForeignClusterError: 'FOREIGN_CLUSTER',
      UnhealthyClusterError: 'UNHEALTHY_CLUSTER',
      ImpossibleChangeError: 'IMPOSSIBLE_CHANGE',
      KeyTooLargeError: 'KEY_TOO_LARGE',
      SlotMigrationError: 'SLOT_MIGRATION',
    })
  })

  it('are all listed above, each code once', () => {
    const classes = Object.keys(errors).filter((name) => name !== 'SlotwiseError')
    expect(one.map(({ name }) => name).toSorted()).toEqual(classes.toSorted())
    expect(new Set(one.map(({ code }) => code)).size).toBe(one.length)
  })

  it('are all in docs/errors.md', () => {
    const page = readFileSync(fileURLToPath(new URL('../../../../docs/errors.md', import.meta.url)), 'utf8')
    for (const { code } of one) expect(page).toContain(`\n## ${code}\n`)
  })

  it.each(one.map((error) => [error.name, error] as const))(
    '%s is an Error, a SlotwiseError and itself',
    (name, error) => {
      expect(error).toBeInstanceOf(Error)
      expect(error).toBeInstanceOf(errors.SlotwiseError)
      expect(String(error)).toContain(name)
      expect(error.stack).toContain('errors.test.ts')
    },
  )

  it('have a cause exactly if they were given one', () => {
    expect(one.filter((error) => 'cause' in error).map(({ name }) => name)).toEqual(['RedisUnavailableError'])
  })

  it('say in numbers what a caller needs', () => {
    const message = (name: string) => one.find((error) => error.name === name)?.message
    expect(message('CrossSlotError')).toContain('a → 1, b → 2')
    expect(message('SlotMovingError')).toContain('slot 7')
    expect(message('LockBusyError')).toContain('5 ms')
  })

  it('take the code of the server from its reply, and ERR where there is none', () => {
    expect(new errors.ReplyError('OOM command not allowed').replyCode).toBe('OOM')
    expect(new errors.ReplyError('no code at all').replyCode).toBe('ERR')
  })
})
