import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { InvalidArgumentError } from 'commander'
import { describe, expect, it, test } from 'vitest'
import { leading } from '../../../slotwise/test/support/leading-names.js'
import { severityCode } from '../../src/commands/health.js'
import { hashTagOf } from '../../src/commands/keys.js'
import { readSlots } from '../../src/commands/moving.js'
import { spread } from '../../src/commands/ping.js'
import { idsOf, idText } from '../../src/commands/write-behind.js'
import { endpointMap } from '../../src/connection/endpoint-map.js'
import { asNodesKnow, readNodes } from '../../src/connection/nodes.js'
import { Refusal } from '../../src/exit.js'

describe('nodes', () => {
  it.each([
    [['a:1,b:2', 'c:3', 'a:1'], { nodes: ['a:1', 'b:2', 'c:3'] }],
    [['[::1]:7000'], { nodes: ['[::1]:7000'] }],
    [['redis://ops@a:1,b'], { nodes: ['a:1', 'b:6379'], user: 'ops' }],
    [['rediss://a%40b@h:1/'], { nodes: ['h:1'], user: 'a@b', tls: true }],
    [[], { nodes: [] }],
  ])('of %j are %j', (texts, expected) => {
    expect(readNodes(texts)).toEqual(expected)
  })

  it.each([
    ['a password in a URL', 'redis://ops:hunter2@a:1'],
    ['a password alone in a URL', 'redis://:hunter2@a:1'],
    ['a password with an @', 'redis://ops:hun@ter2@a:1'],
    ['a password before a host', 'ops:hunter2@a:1'],
  ])('refuse %s, and do not repeat it', (_, text) => {
    expect(() => readNodes([text])).toThrow(/--password-file FILE, by SLOTWISE_PASSWORD or by --ask-password/)
    expect(() => readNodes([text])).not.toThrow(/hunter2|ter2/)
  })

  it.each(['a', 'a:0', 'a:70000', 'a:1:2', '', ',', 'user@a:1', 'http://a:1', 'redis://', 'redis://%@a:1'])(
    'refuse %j',
    (text) => {
      expect(() => readNodes([text])).toThrow(Refusal)
    },
  )

  it('refuse two users, of whom only one can log in', () => {
    expect(() => readNodes(['redis://a@h:1', 'redis://b@h:2'])).toThrow(/several users/)
  })

  it('that have a name are given to the cluster by number, and others as they are', async () => {
    expect(await asNodesKnow('localhost:7000')).toMatch(/^(127\.0\.0\.1|\[::1\]):7000$/)
    for (const same of ['10.0.0.1:7000', 'no-such-name.invalid:7000', 'f'.repeat(40)]) {
      expect(await asNodesKnow(same)).toBe(same)
    }
  })
})

it('of several addresses of a name, that is given to the cluster at which the node answers', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  try {
    using _ = leading('several.test', ['127.0.0.2', '127.0.0.1'])
    expect(await asNodesKnow(`several.test:${port}`)).toBe(`127.0.0.1:${port}`)
  } finally {
    server.close()
  }
})

describe('a map', () => {
  const reach = (rules: readonly string[], host: string, port: number) => {
    const { host: at, port: on } = endpointMap(rules)?.({ host, port }) ?? { host, port }
    return `${at}:${on}`
  }

  it.each([
    [['10.0.0.1:7000=127.0.0.1:8000'], '127.0.0.1:8000'],
    [['*=127.0.0.1'], '127.0.0.1:7000'],
    [['*:7000=127.0.0.1:9000'], '127.0.0.1:9000'],
    [['*:7001=127.0.0.1:9000'], '10.0.0.1:7000'],
    [['10.0.0.1=h'], 'h:7000'],
    [['*=any', '*:7000=port', '10.0.0.1=host', '10.0.0.1:7000=both'], 'both:7000'],
    [['*=any', '*:7000=port', '10.0.0.1=host'], 'host:7000'],
    [['*=any', '*:7000=port'], 'port:7000'],
    [['*=[::1]'], '::1:7000'],
  ])('of %j leads 10.0.0.1:7000 to %s', (rules, at) => {
    expect(reach(rules, '10.0.0.1', 7000)).toBe(at)
  })

  it.each(['a:1', 'a:1=', '=b:1', 'a:1=b:1=c:1', 'a:1=*', 'a:x=b', 'a:99999=b', '*=127.0.0.1:7000'])(
    'refuses %j',
    (rule) => {
      expect(() => endpointMap([rule])).toThrow(/--map/)
    },
  )
})

describe('slots', () => {
  it('are how many where a number stands alone, and which else', () => {
    expect(readSlots('200')).toBe(200)
    expect(readSlots('16384')).toBe(16_384)
    expect(readSlots('0-0')).toEqual([[0, 0]])
    expect(readSlots('0-99, 200,300-16383')).toEqual([
      [0, 99],
      [200, 200],
      [300, 16_383],
    ])
  })

  it.each(['0', '16385', '0-16384', '9-1', 'a', '1-', '1,,2', '-1'])('refuse %j', (text) => {
    expect(() => readSlots(text)).toThrow(InvalidArgumentError)
  })
})

test('what of a key decides its slot is what Redis says', () => {
  expect(hashTagOf('user:{42}:name')).toBe('42')
  expect(hashTagOf('foo{{bar}}zap')).toBe('{bar')
  expect(hashTagOf('foo{bar}{zap}')).toBe('bar')
  for (const none of ['foo', 'foo{}{bar}', 'foo{bar', '}foo{']) expect(hashTagOf(none)).toBeNull()
})

test('a spread is of what was measured, to the microsecond', () => {
  expect(spread([])).toEqual({})
  expect(spread([3, 1, 2.00049])).toEqual({ minMs: 1, medianMs: 2, p99Ms: 3, maxMs: 3 })
  expect(spread(Array.from({ length: 200 }, (_, i) => i + 1))).toMatchObject({ medianMs: 100, p99Ms: 198 })
})

test('the worst finding that counts decides how doctor ends', () => {
  const of = (...severities: ('info' | 'warning' | 'critical')[]) =>
    severities.map((severity) => ({ severity }))
  expect(severityCode([], 'info')).toBe(0)
  expect(severityCode(of('info'), 'warning')).toBe(0)
  expect(severityCode(of('info'), 'info')).toBe(1)
  expect(severityCode(of('warning', 'info'), 'warning')).toBe(1)
  expect(severityCode(of('warning'), 'critical')).toBe(0)
  expect(severityCode(of('critical', 'warning'), 'critical')).toBe(4)
  expect(severityCode(of('critical'), 'never')).toBe(0)
})

describe('ids of rows', () => {
  it.each([
    ['7', '7'],
    ['post-7', 'post-7'],
    ['["post",7]', ['post', 7]],
    ['["[x"]', ['[x']],
    ['{"a":1}', '{"a":1}'],
  ])('of %s are %j', (text, id) => {
    expect(idsOf([text])).toEqual([id])
  })

  it('are all where none is given', () => {
    expect(idsOf([])).toBeUndefined()
  })

  it.each(['[', '[]', '[post]', '[null]', '["a",1.5]', '[["a"]]'])('are not %s', (text) => {
    expect(() => idsOf([text])).toThrow(Refusal)
  })

  it.each(['7', ['post', '7'], '[x', '["post",7]'])('of %j are shown as they can be given again', (id) => {
    expect(idsOf([idText(id)])).toEqual(typeof id === 'string' && id.startsWith('[') ? [[id]] : [id])
  })
})
