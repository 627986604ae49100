import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { rounds } from '../../support/budget.js'
import { histories, type Step } from './histories.js'
import { MODELS, type Pair } from './models.js'
import { Play } from './play.js'
import { anyStage, SCRIPTS, type Stage } from './stage.js'
import { Tally } from './tally.js'

let stage: Stage
beforeAll(async () => {
  stage = await anyStage()
})
afterAll(() => stage.close())

const timeout = rounds(60_000, 3_600_000)
/** On servers a share of what twins do: that the two are the same is another test's promise. */
const runsOf = (share: number, full: number): number =>
  inject('inMemory') ? rounds(share, full) : rounds(Math.ceil(share / 5), Math.ceil(full / 20))
const everything: readonly Step['kind'][] = [
  'penalize',
  'refund',
  'renew',
  'turn',
  'change',
  'repeat',
  'block',
]

const mixtureOf = (names: readonly string[]) =>
  fc.array(fc.oneof(...names.flatMap((name) => MODELS[name] ?? [])), { minLength: 2, maxLength: 4 })
const mixture = mixtureOf(Object.keys(MODELS))
/** Of these a proportion is not exact: their product with a limit is beyond 2^53. */
const small = mixtureOf(Object.keys(MODELS).filter((name) => !name.includes('large')))

async function agree(
  numRuns: number,
  pairs: fc.Arbitrary<readonly Pair[]>,
  kinds: readonly Step['kind'][],
  onPlanChange: 'keep-used' | 'keep-proportion' | 'reset' = 'keep-used',
): Promise<readonly string[]> {
  const tally = new Tally()
  await fc.assert(
    fc.asyncProperty(pairs, histories(kinds), async (models, steps) => {
      const plain = models.map((pair) => pair.plain)
      const changed = models.map((pair) => pair.changed)
      const play = new Play(stage, SCRIPTS, plain, { changed, onPlanChange })
      await play.all(steps)
      tally.add({ calls: play.asked, decided: play.asked, refused: play.refused })
    }),
    { numRuns, endOnFailure: true },
  )
  return tally.lacking()
}

describe('every verdict, every remainder and every wait is what exact arithmetic says', () => {
  it.each(Object.entries(MODELS))('of %s', { timeout }, async (_, model) => {
    const alone = model.map((pair) => [pair])
    expect(await agree(runsOf(25, 20_000), alone, ['refund'])).toEqual([])
  })

  it.each(Object.entries(MODELS))(
    'of %s that is penalized, changed, and whose clock steps',
    { timeout },
    async (_, model) => {
      const alone = model.map((pair) => [pair])
      expect(await agree(runsOf(25, 5000), alone, everything)).toEqual([])
    },
  )

  it('of mixtures', { timeout }, async () => {
    expect(await agree(runsOf(25, 20_000), mixture, ['refund'])).toEqual([])
  })

  it.each(['keep-used', 'keep-proportion', 'reset'] as const)(
    'of mixtures with all that may happen, and plans that change: %s',
    { timeout },
    async (onPlanChange) => {
      const mixed = onPlanChange === 'keep-proportion' ? small : mixture
      expect(await agree(runsOf(25, 5000), mixed, everything, onPlanChange)).toEqual([])
    },
  )
})
