import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors.js'
import { checkedOptions } from '../../src/redis/connect-options.js'
import { type ConnectOptions, PRODUCTION } from '../../src/redis/index.js'
import { backoffMs } from '../../src/redis/retry.js'

const nodes = ['h:1']

describe('the settings for production', () => {
  it('are those of a service under load, and nothing that has to be known of it', () => {
    expect(PRODUCTION).toEqual({
      connectionsPerNode: { min: 10, max: 100 },
      connectTimeoutMs: 5000,
      commandTimeoutMs: 3000,
      poolTimeoutMs: 4000,
      idleTimeoutMs: 300_000,
      idleCheckMs: 60_000,
      maxRetries: 3,
      retryBackoffMs: { min: 8, max: 512 },
      readFrom: 'nearest',
    })
    expect(checkedOptions({ ...PRODUCTION, nodes })).toMatchObject(PRODUCTION)
  })

  it('differ from the defaults in what costs a connection or an older answer, and in nothing else', () => {
    const { connectionsPerNode, readFrom, ...rest } = PRODUCTION
    expect(checkedOptions({ nodes })).toMatchObject({
      ...rest,
      connectionsPerNode: { min: 0, max: 10 },
      readFrom: 'primary',
    })
    expect([connectionsPerNode.min, readFrom]).toEqual([10, 'nearest'])
  })
})

it('a repeat waits for anything from nothing to the step, which doubles from 8 ms to 512 ms', () => {
  for (const [attempt, step] of [8, 16, 32, 64, 128, 256, 512, 512, 512].entries()) {
    const waits = Array.from({ length: 2000 }, () => backoffMs(attempt, PRODUCTION.retryBackoffMs))
    expect(Math.max(...waits)).toBeLessThan(step)
    expect(Math.max(...waits)).toBeGreaterThan(step * 0.95)
    expect(Math.min(...waits)).toBeLessThan(step * 0.05)
  }
})

describe('a URL', () => {
  it.each<readonly [string, Partial<ConnectOptions>]>([
    ['redis://h', { nodes: ['h:6379'] }],
    ['redis://a:7000,b,[::1]:7002,[::1]/', { nodes: ['a:7000', 'b:6379', '[::1]:7002', '[::1]:6379'] }],
    ['rediss://h:1', { nodes, tls: true }],
    ['redis://:p%40ss%3Aw@h:1', { nodes, password: 'p@ss:w' }],
    [
      'redis://us%2Fer:a:b@h:1?namespace=shop',
      { nodes, username: 'us/er', password: 'a:b', namespace: 'shop' },
    ],
  ])('%s means what these options mean', (url, options) => {
    const { onError: _, ...given } = checkedOptions(url)
    const { onError: __, ...meant } = checkedOptions({ nodes: [], ...options })
    expect(given).toEqual(meant)
  })

  it.each([
    ['http://h:1', /must look like redis:/],
    ['redis://', /must look like redis:/],
    ['redis://:a@b@h:1', /percent-encoded/],
    ['redis://user@h:1', /needs a password/],
    ['redis://:%zz@h:1', /percent-encoded/],
    ['redis://h:1?db=1', /unknown parameter: "db"/],
    ['redis://h:99999', /host:port/],
  ])('%s is refused, and says why without its password', (url, why) => {
    expect(() => checkedOptions(url)).toThrow(ConfigurationError)
    expect(() => checkedOptions(url)).toThrow(why)
    for (const password of ['s3cret', 'x@s3cret', 's3cret/x', 's3cret%'])
      expect(() => checkedOptions(url.replace('//', `//:${password}@`))).not.toThrow(/s3cret/)
  })
})

describe('options that do not go together are refused by name', () => {
  it.each<readonly [string, Partial<ConnectOptions>, RegExp]>([
    ['no node', { nodes: [] }, /nodes must name/],
    ['an IPv6 address without brackets', { nodes: ['::1:7000'] }, /\[IPv6\]:port/],
    ['a mode for sentinels without them', { mode: 'sentinel' }, /sentinel: { primaryName }/],
    ['sentinels for a cluster', { mode: 'cluster', sentinel: { primaryName: 'a' } }, /sentinel/],
    ['sentinels without a name', { sentinel: { primaryName: '' } }, /primaryName/],
    ['a mode that there is not', { mode: 'ring' as never }, /mode/],
    [
      'two kinds of credentials',
      { password: 'a', credentials: async () => ({ password: 'b' }) },
      /credentials/,
    ],
    [
      'fewer connections than are kept',
      { connectionsPerNode: { min: 5, max: 4 } },
      /connectionsPerNode\.max/,
    ],
    ['a backoff that shrinks', { retryBackoffMs: { min: 9, max: 8 } }, /retryBackoffMs\.max/],
  ])('%s', (_, options, why) => {
    const check = () => checkedOptions({ nodes, ...options })
    expect(check).toThrow(ConfigurationError)
    expect(check).toThrow(why)
  })
})
