import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../../src/errors.js'
import { addressOf, clientName } from '../../../src/ratelimit/http/address.js'
import { clientReader, forwardedFor, type Proxies } from '../../../src/ratelimit/http/proxies.js'

const named = (text: string, prefix = 64) => {
  const address = addressOf(text)
  return address === undefined ? undefined : clientName(address, prefix)
}

describe('an address', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:8080', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:443', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
    ['2001:DB8::7:ffff:0:0:9', '2001:db8:0:7::/64'],
    ['[2001:db8:0:7::1]:4711', '2001:db8:0:7::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
  ])('%s is %s', (text, name) => expect(named(text)).toBe(name))

  it.each([
    '',
    'unknown',
    '_hidden',
    '256.1.1.1',
    '1.2.3',
    ':::',
    '[::1',
    '1.2.3.4:x',
    '::1.2.3',
    'a.b',
    '1::2::3',
    '%',
  ])('%j is none', (text) => expect(addressOf(text)).toBeUndefined())

  it('of IPv6 is known by its first bits, whatever follows them', () => {
    const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(
        groups,
        fc.integer({ min: 1, max: 128 }),
        fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
        (given, prefix, noise) => {
          const own = given.map((group, i) => (i === 0 ? group | 0x2000 : group))
          const number = own.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
          const mask = (2n ** BigInt(prefix) - 1n) << BigInt(128 - prefix)
          const text = (value: bigint) =>
            Array.from({ length: 8 }, (_, i) =>
              ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
            ).join(':')
          const neighbour = (number & mask) | (noise & ~mask & (2n ** 128n - 1n))
          expect(named(text(neighbour), prefix)).toBe(named(text(number), prefix))
          const stranger = number ^ (1n << BigInt(128 - prefix))
          if (Array.isArray(addressOf(text(stranger)))) {
            expect(named(text(stranger), prefix)).not.toBe(named(text(number), prefix))
          }
        },
      ),
    )
  })

  it('is never an error, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('0', 'f', ':', '.', '[', ']', '%', '/', ' ', '"') }),
        (text) => {
          expect(() => named(text)).not.toThrow()
        },
      ),
    )
  })
})

const reading =
  (proxies: Proxies | undefined, ipv6Prefix = 64) =>
  (remoteAddress: string | undefined, header = '', name = proxies?.header ?? 'x-forwarded-for') =>
    clientReader(
      proxies,
      ipv6Prefix,
    )({ remoteAddress, header: (asked) => (asked === name ? header : undefined) })

describe('without proxies', () => {
  it('the other end is the client, whatever a header claims', () => {
    expect(reading(undefined)('192.0.2.1', '203.0.113.7')).toBe('192.0.2.1')
    expect(reading(undefined)('::ffff:192.0.2.1')).toBe('192.0.2.1')
  })

  it('those whose address is not known share one limit', () => {
    expect(reading(undefined)(undefined)).toBe('unknown')
  })
})

describe('behind a number of proxies', () => {
  const one = reading({ trust: 1 })
  const two = reading({ trust: 2 })

  it('the client is who the outermost of them heard from', () => {
    expect(one('10.0.0.1', '203.0.113.7')).toBe('203.0.113.7')
    expect(two('10.0.0.1', '203.0.113.7, 10.0.0.2')).toBe('203.0.113.7')
  })

  it('what a client wrote before it is not read', () => {
    expect(one('10.0.0.1', '1.1.1.1, 2.2.2.2, 203.0.113.7')).toBe('203.0.113.7')
    expect(two('10.0.0.1', '6.6.6.6,203.0.113.7,10.0.0.2')).toBe('203.0.113.7')
  })

  it('whose address is not known, as of a socket of the file system, they are trusted all the same', () => {
    expect(one(undefined, '203.0.113.7')).toBe('203.0.113.7')
  })

  it('a header that is short or no list of addresses counts for the last that could be trusted', () => {
    expect(one('10.0.0.1', '')).toBe('10.0.0.1')
    expect(two('10.0.0.1', '203.0.113.7')).toBe('203.0.113.7')
    expect(one('10.0.0.1', '203.0.113.7, unknown')).toBe('10.0.0.1')
    expect(two('10.0.0.1', '203.0.113.7, unknown, 10.0.0.2')).toBe('10.0.0.2')
  })

  it('no client can choose its name: any header of its own, followed by what the proxies add, gives the same', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (own) => {
        expect(two('10.0.0.1', `${own}, 203.0.113.7, 10.0.0.2`)).toBe('203.0.113.7')
      }),
    )
  })
})

describe('behind proxies of known networks', () => {
  const proxies = { trust: ['10.0.0.0/8', '2001:db8:1::/48', '192.0.2.99'] } as const
  const known = reading(proxies)

  it('the first address that is none of theirs is the client', () => {
    expect(known('10.0.0.1', '1.1.1.1, 203.0.113.7, 10.9.9.9')).toBe('203.0.113.7')
    expect(known('::ffff:10.0.0.1', '203.0.113.7, 2001:db8:1:ffff::1')).toBe('203.0.113.7')
    expect(known('192.0.2.99', '2001:db8:2::1')).toBe('2001:db8:2:0::/64')
  })

  it('who comes past them is known by its own address', () => {
    expect(known('203.0.113.7', '1.1.1.1')).toBe('203.0.113.7')
    expect(known(undefined, '1.1.1.1')).toBe('unknown')
  })

  it('a chain of theirs without end is followed for a while', () => {
    expect(known('10.0.0.1', '10.0.0.2,'.repeat(5000))).toBe('10.0.0.1')
    expect(known('10.0.0.1', `1.1.1.1${',10.0.0.2'.repeat(5000)}`)).toBe('10.0.0.2')
  })
})

describe('Forwarded', () => {
  it.each<[string, string[]]>([
    ['for=192.0.2.60;proto=http;by=203.0.113.43', ['192.0.2.60']],
    ['for=192.0.2.43, for="[2001:db8:cafe::17]:4711"', ['192.0.2.43', '[2001:db8:cafe::17]:4711']],
    ['For="_gazonk"', ['_gazonk']],
    ['by=10.0.0.1;FOR=192.0.2.1 , proto=https', ['192.0.2.1', '']],
    ['host="a,b;for=1.1.1.1";for=192.0.2.1', ['192.0.2.1']],
    ['for="192.0.\\2.1"', ['192.0.2.1']],
    ['', ['']],
  ])('%j is %j', (value, list) => expect(forwardedFor(value)).toEqual(list))

  it.each(['for="192.0.2.1', 'for=1.1.1.1, for="x, for=2.2.2.2', 'for', '=', 'for="a"b', 'for=a b'])(
    '%j is no such header, and nothing of it is taken',
    (value) => expect(forwardedFor(value)).toEqual([]),
  )

  it('names the client as the other header does, and only one of the two is read', () => {
    const one = reading({ trust: 1, header: 'forwarded' })
    expect(one('10.0.0.1', 'for=1.1.1.1, for="[2001:db8::7]:443";proto=https')).toBe('2001:db8:0:0::/64')
    expect(one('10.0.0.1', 'for=1.1.1.1', 'x-forwarded-for')).toBe('10.0.0.1')
    expect(one('10.0.0.1', 'for="unclosed, for=203.0.113.7')).toBe('10.0.0.1')
  })

  it('no client can choose its name: any header of its own gives the address that the proxy adds, or the proxy’s', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom('for', '=', '1', '.', ';', ',', '"', ' ', '\\', '[', ']'),
          maxLength: 60,
        }),
        (own) => {
          const name = reading({ trust: 1, header: 'forwarded' })('10.0.0.1', `${own}, for=203.0.113.7`)
          expect(['203.0.113.7', '10.0.0.1']).toContain(name)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('of any length is read in time that grows no faster than it', () => {
    for (const part of ['for=', '"', ' ', 'for="\\', ';', ',', 'a=b;', 'for=1.1.1.1, ']) {
      const from = performance.now()
      forwardedFor(part.repeat(Math.ceil(60_000 / part.length)))
      expect(performance.now() - from).toBeLessThan(2000)
    }
  })
})

it.each<[object, number?]>([
  [{ trust: 0 }],
  [{ trust: 1.5 }],
  [{ trust: 33 }],
  [{ trust: ['10.0.0.0/33'] }],
  [{ trust: ['10.0.0/8'] }],
  [{ trust: ['loopback'] }],
  [{ trust: ['10.0.0.0/8/8'] }],
  [{ trust: ['10.0.0.0/'] }],
  [{ trust: 1, header: 'x-real-ip' }],
  [{ trust: 1 }, 0],
  [{ trust: 1 }, 129],
])('%j with a prefix of %s is refused when it is built', (proxies, prefix = 64) => {
  expect(() => clientReader(proxies as Proxies, prefix)).toThrow(ConfigurationError)
})
