import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { rounds } from '../../support/budget.js'
import { MODELS } from './models.js'
import { anyStage, memoryStage, mutant, SCRIPTS, type Scripts, type Stage } from './stage.js'
import { Tally } from './tally.js'
import { atOnce, type Decide, oneAfterTheOther, TogetherPlay, togetherHistories } from './together-play.js'

const some = fc.oneof(...Object.values(MODELS))
const pairsOf = (maxLength: number) => fc.array(some, { minLength: 1, maxLength })
const keys = fc.record({ user: pairsOf(3), tenant: pairsOf(3) })
const timeout = rounds(60_000, 3_600_000)

async function play(
  stage: Stage,
  {
    scripts = SCRIPTS,
    isCalm = false,
    decide = atOnce,
    numRuns = 300,
  }: { scripts?: Scripts; isCalm?: boolean; decide?: Decide; numRuns?: number } = {},
) {
  const tally = new Tally()
  const counts = { asked: 0, own: 0, common: 0 }
  await fc.assert(
    fc.asyncProperty(keys, togetherHistories(isCalm), async (models, steps) => {
      const one = new TogetherPlay(stage, scripts, models, decide)
      await one.all(steps)
      counts.asked += one.asked
      tally.add({ calls: one.asked, decided: one.asked, refused: one.refused })
      counts.own += one.refusedBy.own
      counts.common += one.refusedBy.common
    }),
    { numRuns, endOnFailure: true },
  )
  return { ...counts, lacking: tally.lacking() }
}

describe('two keys at once: every verdict, remainder and wait is what exact arithmetic says of both', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await anyStage()
  })
  afterAll(() => stage.close())

  const numRuns = inject('inMemory') ? rounds(40, 20_000) : rounds(8, 1000)

  it.each([
    ['of users and their tenant', true],
    ['of those that are penalized, changed, and whose clock steps', false],
  ])('%s', { timeout }, async (_, isCalm) => {
    const { asked, own, common, lacking } = await play(stage, { isCalm, numRuns })
    expect(lacking).toEqual([])
    // What one key refuses alone shows nothing of two.
    expect(Math.min(own, common) / asked).toBeGreaterThan(0.02)
  })
})

const MISTAKES: Readonly<Record<string, readonly [from: string, to: string]>> = {
  'takes of the part what the whole refuses': ['refused = not open', 'refused = false'],
  'takes of the whole what the part refuses': [
    "if open and string.sub(part, 1, 1) ~= '1' then",
    'if false then',
  ],
  'writes the whole before the part is known': [
    'local part, other',
    "if record then redis.call('SET', KEYS[1], record, 'PX', ms) end local part, other",
  ],
  'does not write down what the whole has to know of when it refuses': [
    'if record then redis',
    'if record and open then redis',
  ],
  'does not write down what the part has to know of when the whole refuses': [
    'if other then redis',
    'if other and open then redis',
  ],
  'ends both records with the whole': ["'PX', other_ms)", "'PX', ms or other_ms)"],
  'ends both records with the part': ["'PX', ms) end if", "'PX', other_ms or ms) end if"],
}

describe('in memory, since a mistake shows there as soon', () => {
  it('two calls, one after the other, leak what the first gave where the second refuses', {
    timeout,
  }, async () => {
    await expect(play(memoryStage(), { decide: oneAfterTheOther, isCalm: true })).rejects.toThrow(
      'Property failed',
    )
  })

  it.each(Object.entries(MISTAKES))('a script that %s is caught', { timeout }, async (_, [from, to]) => {
    const source = SCRIPTS.together.source.replaceAll(/\s*\n\s*/g, ' ')
    const together = mutant({ ...SCRIPTS.together, source }, from, to)
    await expect(play(memoryStage(), { scripts: { ...SCRIPTS, together } })).rejects.toThrow(
      'Property failed',
    )
  })
})
