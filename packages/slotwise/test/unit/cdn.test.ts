import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Cdn, purging, surrogateHeader, surrogateKeys } from '../../src/invalidation/index.js'

const CDNS: readonly Cdn[] = ['fastly', 'cloudflare', 'akamai', 'varnish']

/** What is documented to separate keys. */
const SEPARATORS = { fastly: /\s+/, cloudflare: /\s*,\s*/, akamai: /\s*,\s*/, varnish: /[\s,]+/ }

/** The keys that a CDN finds in a header. */
function keysIn(
  cdn: Cdn,
  tagged: { name: string; tenant?: string | undefined; tags: readonly string[] },
): string[] {
  const header = surrogateHeader(tagged, { cdn })
  if (!header.fits) throw new Error(header.reason)
  return header.value.split(SEPARATORS[cdn])
}

describe('the header of a response', () => {
  it.each([
    ['fastly', 'Surrogate-Key', 'pages pages~~all pages~~org:7 pages~~org:7/users'],
    ['cloudflare', 'Cache-Tag', 'pages,pages~~all,pages~~org:7,pages~~org:7/users'],
    ['akamai', 'Edge-Cache-Tag', 'pages,pages~~all,pages~~org%3a7,pages~~org%3a7%2fusers'],
    ['varnish', 'xkey', 'pages pages~~all pages~~org:7 pages~~org:7/users'],
  ] as const)('holds for %s the tags, those above them and the name', (cdn, name, value) => {
    expect(surrogateHeader({ name: 'pages', tags: ['org:7/users', 'all'] }, { cdn })).toEqual({
      fits: true,
      name,
      value,
    })
  })

  it('tells tenants apart, whatever they are called', () => {
    expect(keysIn('fastly', { name: 'p', tenant: 'a b', tags: ['t'] })).toEqual(['p', 'p~a%20b', 'p~a%20b~t'])
    expect(keysIn('fastly', { name: 'p', tenant: '', tags: ['t'] })).toEqual(['p', 'p~%', 'p~%~t'])
    expect(keysIn('fastly', { name: 'p', tenant: 'é~', tags: ['#1'] })).toEqual([
      'p',
      'p~%c3%a9%7e',
      'p~%c3%a9%7e~%231',
    ])
  })

  it('is not made when some of its keys would be ignored', () => {
    const long = Array.from({ length: 60 }, (_, n) => `${n}${'x'.repeat(500)}`)
    expect(surrogateHeader({ name: 'p', tags: long }, { cdn: 'fastly' })).toEqual({
      fits: false,
      reason: 'too-long',
    })
    // Of Akamai, long ones are hashed, and fit.
    expect(surrogateHeader({ name: 'p', tags: long }, { cdn: 'akamai' })).toMatchObject({ fits: true })
    expect(() => surrogateHeader({ name: 'p', tags: [''] }, { cdn: 'fastly' })).toThrow('a tag must be')
    expect(() => surrogateHeader({ name: 'p', tags: [] }, { cdn: 'none' as Cdn })).toThrow(
      'cdn must be one of',
    )
  })

  const word = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 200 })
    .filter((text) => !/\p{Surrogate}/u.test(text))

  it('is found by a purge of each of its tags, of one above, and of everything, and by no other', () => {
    const tenant = fc.option(word, { nil: undefined })
    fc.assert(
      fc.property(fc.constantFrom(...CDNS), tenant, tenant, word, word, (cdn, mine, theirs, tag, other) => {
        const keys = new Set(keysIn(cdn, { name: 'p', tenant: mine, tags: [tag] }))
        const found = (change: {
          tenant: string | undefined
          tags: readonly string[]
          everything?: boolean
        }) => surrogateKeys({ name: 'p', ...change }, { cdn }).some((key) => keys.has(key))
        expect(found({ tenant: mine, tags: [tag] })).toBe(true)
        expect(found({ tenant: mine, tags: [], everything: true })).toBe(true)
        expect(found({ tenant: undefined, tags: [], everything: true })).toBe(true)
        const concerns = tag === other || tag.startsWith(`${other}/`)
        expect(found({ tenant: mine, tags: [other] })).toBe(concerns)
        expect(found({ tenant: theirs, tags: [tag] })).toBe(mine === theirs)
        expect(found({ tenant: theirs, tags: [], everything: true })).toBe(
          theirs === undefined || mine === theirs,
        )
      }),
      { numRuns: 500 },
    )
  })

  it('holds nothing that a CDN would refuse, cut or take for something else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CDNS),
        fc.option(word, { nil: undefined }),
        fc.array(word, { maxLength: 5 }),
        (cdn, tenant, tags) => {
          const header = surrogateHeader({ name: 'p', tenant, tags }, { cdn })
          fc.pre(header.fits)
          expect(header.value).toMatch(cdn === 'akamai' ? /^[\w.~%#,-]+$/ : /^[\x20-\x7e]+$/)
          expect(header.value.length).toBeLessThanOrEqual(
            cdn === 'akamai' || cdn === 'varnish' ? 8192 : 16_384,
          )
          const keys = header.value.split(SEPARATORS[cdn])
          for (const key of keys) expect(key.length).toBeLessThanOrEqual(cdn === 'akamai' ? 128 : 1024)
          expect(keys.every((key) => key.length > 0)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('a purge', () => {
  const sending = (
    cdn: Cdn,
    fails: (attempt: number) => Error | undefined = () => undefined,
    options = {},
  ) => {
    const sent: (readonly string[])[] = []
    const purge = purging({ cdn, backoffMs: 1, ...options }, async (keys) => {
      sent.push(keys)
      const error = fails(sent.length)
      if (error !== undefined) throw error
    })
    return { sent, purge }
  }

  it('holds the keys of all changes once, in requests as large as the CDN takes', async () => {
    const tags = Array.from({ length: 600 }, (_, n) => `t${n}`)
    for (const [cdn, sizes] of [
      ['fastly', [256, 256, 88]],
      ['cloudflare', [100, 100, 100, 100, 100, 100]],
      ['akamai', [600]],
    ] as const) {
      const { sent, purge } = sending(cdn)
      await purge([
        { name: 'p', tags },
        { name: 'p', tags: tags.slice(10) },
      ])
      expect(sent.map(({ length }) => length)).toEqual(sizes)
      expect(new Set(sent.flat()).size).toBe(600)
    }
    const { sent, purge } = sending('varnish')
    await purge({ name: 'p', tags: tags.map((tag) => tag.padEnd(100, '-')) })
    expect(sent.length).toBeGreaterThan(5)
    expect(sent.every((keys) => keys.join(' ').length <= 8000)).toBe(true)
    expect(sent.flat()).toHaveLength(600)
  })

  it('sends nothing for what has no name or no tags', async () => {
    const { sent, purge } = sending('fastly')
    await purge([
      { name: undefined, tags: ['a'] },
      { name: 'p', tags: [] },
    ])
    await purge([])
    expect(sent).toEqual([])
    await purge({ name: 'p', tags: [], everything: true })
    expect(sent).toEqual([['p']])
  })

  it('is tried so often and no oftener, and says why it failed', async () => {
    const third = sending('fastly', (attempt) => (attempt < 3 ? new Error('busy') : undefined))
    await third.purge({ name: 'p', tags: ['a'] })
    expect(third.sent).toHaveLength(3)
    const never = sending('fastly', () => new Error('no'), { attempts: 2 })
    await expect(never.purge({ name: 'p', tags: ['a'] })).rejects.toThrow('no')
    expect(never.sent).toHaveLength(2)
  })

  it('that hangs is given up in time, and told so', async () => {
    let aborted = 0
    const purge = purging(
      { cdn: 'fastly', attempts: 2, backoffMs: 1, timeoutMs: 20 },
      async (_, { signal }) => {
        signal.addEventListener('abort', () => aborted++)
        await sleep(60_000, undefined, { ref: false })
      },
    )
    await expect(purge({ name: 'p', tags: ['a'] })).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(aborted).toBe(2)
  })

  it('ends when its caller does', async () => {
    const stop = new AbortController()
    const { sent, purge } = sending('fastly', () => (stop.abort(new Error('closed')), new Error('no')))
    await expect(purge({ name: 'p', tags: ['a'] }, { signal: stop.signal })).rejects.toThrow('closed')
    expect(sent).toHaveLength(1)
    await expect(purge({ name: 'p', tags: ['a'] }, { signal: stop.signal })).rejects.toThrow('closed')
    expect(sent).toHaveLength(1)
  })
})
