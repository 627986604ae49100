import { describe, expect, it, test } from 'vitest'
import { palette, usesColour } from '../../src/output/colour.js'
import { ProgressLine } from '../../src/output/progress.js'
import { harmless, table } from '../../src/output/table.js'
import { count, duration, plural, ranges, size } from '../../src/output/units.js'

describe('a table', () => {
  it('aligns its columns, whatever colours are in them, and leaves nothing behind the last', () => {
    const { bad } = palette(true)
    const text = table(
      [{ title: 'NODE' }, { title: 'KEYS', align: 'right' }, { title: '' }],
      [
        ['a', bad('7'), 'x'],
        ['longer', '1,000', ''],
      ],
    )
    expect(text).toBe(['NODE     KEYS', `a           ${bad('7')}  x`, 'longer  1,000'].join('\n'))
  })

  it('shows what would control a terminal instead of doing it', () => {
    expect(harmless('a\u001B[2Jb\nc\u202Ed')).toBe('a\\u001b[2Jb\\u000ac\\u202ed')
    expect(harmless('Zürich 😀')).toBe('Zürich 😀')
  })
})

describe('figures', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1_048_575, '1 MiB'],
    [5 * 2 ** 30, '5 GiB'],
  ])('of %d bytes read %s', (bytes, text) => {
    expect(size(bytes)).toBe(text)
  })

  test.each([
    [0.4251, '0.43 ms'],
    [9.999, '10 ms'],
    [999.4, '999 ms'],
    [999.9, '1 s'],
    [59_999, '1 min 0 s'],
    [125_000, '2 min 5 s'],
  ])('of %d milliseconds read %s', (ms, text) => {
    expect(duration(ms)).toBe(text)
  })

  it('group thousands, count things, and cut long lists', () => {
    expect([count(0), count(999), count(1_234_567)]).toEqual(['0', '999', '1,234,567'])
    expect([plural(1, 'key'), plural(0, 'key'), plural(2, 'primary', 'primaries')]).toEqual([
      '1 key',
      '0 keys',
      '2 primaries',
    ])
    expect(
      ranges(
        [
          [0, 5],
          [7, 7],
          [9, 10],
        ],
        2,
      ),
    ).toBe('0-5, 7 and 1 more')
  })
})

describe('colours', () => {
  const on = { isTTY: true, env: {}, plain: false }

  it.each([
    ['are there on a terminal', on, true],
    ['are not in a pipe', { ...on, isTTY: false }, false],
    ['are not with NO_COLOR', { ...on, env: { NO_COLOR: '1' } }, false],
    ['do not mind an empty NO_COLOR', { ...on, env: { NO_COLOR: '' } }, true],
    ['are in a pipe with FORCE_COLOR', { ...on, isTTY: false, env: { FORCE_COLOR: '1' } }, true],
    ['are not with FORCE_COLOR=0', { ...on, env: { FORCE_COLOR: '0' } }, false],
    [
      'are not with --no-color, whatever else is said',
      { ...on, plain: true, env: { FORCE_COLOR: '1' } },
      false,
    ],
    ['are not on a dumb terminal', { ...on, env: { TERM: 'dumb' } }, false],
  ])('%s', (_, surroundings, expected) => {
    expect(usesColour(surroundings)).toBe(expected)
  })
})

describe('progress', () => {
  const line = (isTTY: boolean) => {
    const written: string[] = []
    const clock = { ms: 0 }
    const stream = { isTTY, columns: 40, write: (text: string) => written.push(text) }
    return { written, clock, progress: new ProgressLine(stream, palette(false), () => clock.ms) }
  }

  it('fills no log: a line for a new step, one every five seconds, and one at the end', () => {
    const { written, clock, progress } = line(false)
    for (let done = 0; done <= 100; done++) {
      progress.show({ text: 'moving', done, total: 100 })
      clock.ms += 200
    }
    progress.show({ text: 'waiting' })
    expect(written).toEqual([
      'moving 0/100\n',
      'moving 25/100\n',
      'moving 50/100\n',
      'moving 75/100\n',
      'moving 100/100\n',
      'waiting\n',
    ])
  })

  it('redraws one line on a terminal, which never wraps, and takes it away', () => {
    const { written, clock, progress } = line(true)
    progress.show({ text: 'moving slots from here to there', done: 50, total: 100 })
    clock.ms += 10
    progress.show({ text: 'moving slots from here to there', done: 51, total: 100 })
    progress.clear()
    progress.clear()
    expect(written).toHaveLength(2)
    const erase = '\r\u001B[2K'
    const [drawn = '', erased] = written
    expect(drawn.startsWith(`${erase}${'█'.repeat(12)}${'─'.repeat(12)} moving slots`)).toBe(true)
    expect(drawn).toHaveLength(erase.length + 39)
    expect(erased).toBe(erase)
  })
})
