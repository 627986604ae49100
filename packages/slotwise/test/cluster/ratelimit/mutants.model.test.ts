import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MODELS } from './models.js'
import { MUTANTS, type Mutant } from './mutants.js'
import { histories, Play } from './play.js'
import { memoryStage, mutant, SCRIPTS, type Scripts } from './stage.js'

const some = fc.oneof(...Object.values(MODELS))

const small = fc.oneof(
  ...Object.entries(MODELS).flatMap(([name, one]) => (name.includes('large') ? [] : [one])),
)

/** Plays histories by scripts; in memory in either project: how a mistake shows is the same, and soon there. */
async function play(
  scripts: Scripts,
  { of, onPlanChange }: Pick<Mutant, 'of' | 'onPlanChange'> = {},
  numRuns = 500,
) {
  const stage = memoryStage()
  const any = fc.array(onPlanChange === 'keep-proportion' ? small : some, { minLength: 2, maxLength: 4 })
  const pairs = of === undefined ? any : (MODELS[of] ?? some).map((one) => [one])
  const everything = histories(['penalize', 'refund', 'turn', 'change'])
  const property = fc.asyncProperty(pairs, everything, async (models, steps) => {
    const changed = models.map((pair) => pair.changed)
    const plain = models.map((pair) => pair.plain)
    await new Play(stage, scripts, plain, { changed, onPlanChange: onPlanChange ?? 'keep-used' }).all(steps)
  })
  await fc.assert(property, { numRuns, endOnFailure: true })
}

it.each([undefined, 'keep-proportion', 'reset'] as const)(
  'scripts without a mistake pass: %s',
  async (onPlanChange) => {
    await expect(play(SCRIPTS, onPlanChange && { onPlanChange }, 20)).resolves.toBeUndefined()
  },
)

it.each(Object.entries(MUTANTS))('a script that %s is caught', async (_, { script, from, to, ...where }) => {
  const scripts = { ...SCRIPTS, [script]: mutant(SCRIPTS[script], from, to) }
  await expect(play(scripts, where)).rejects.toThrow('Property failed')
})
