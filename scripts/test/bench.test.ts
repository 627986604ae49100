import { describe, expect, it } from 'vitest'
import { exitCodeOf, told } from '../../bench/measuring/findings.js'

describe('what a benchmark has found', () => {
  const [kept, broken, plain] = [
    { holds: true, line: 'a hit sends HGET' },
    { holds: false, line: 'a miss sends too much' },
    { line: 'they take 5 ms' },
  ]

  it('ends it with 1 if anything that is promised was missed, and with 0 otherwise', () => {
    expect([[], [plain], [kept, plain], [kept, broken, plain]].map(exitCodeOf)).toEqual([0, 0, 0, 1])
  })

  it('is told line by line, each promise with what became of it', () => {
    expect(told([kept, broken, plain]).split('\n')).toEqual([
      'reached  a hit sends HGET',
      'missed   a miss sends too much',
      '         they take 5 ms',
    ])
  })
})
