import fc from 'fast-check'
import { expect, it } from 'vitest'
import { histories, type Step } from './histories.js'
import { MODELS } from './models.js'
import { MUTANTS, MUTANTS_OF_MARKS, MUTANTS_OF_RENEWALS, type Mutant } from './mutants.js'
import { Play } from './play.js'
import { memoryStage, mutant, SCRIPTS, type Scripts } from './stage.js'

const some = fc.oneof(...Object.values(MODELS))

const small = fc.oneof(
  ...Object.entries(MODELS).flatMap(([name, one]) => (name.includes('large') ? [] : [one])),
)

const COUNTS: readonly Step['kind'][] = ['penalize', 'refund', 'turn', 'change']
const EVERYTHING: readonly Step['kind'][] = [...COUNTS, 'renew', 'repeat', 'block']
const leases = MODELS['a concurrency'] ?? some

/** Plays histories by scripts; in memory in either project: how a mistake shows is the same, and soon there. */
async function play(
  scripts: Scripts,
  { of, onPlanChange }: Pick<Mutant, 'of' | 'onPlanChange'> = {},
  kinds: readonly Step['kind'][] = EVERYTHING,
  numRuns = 500,
) {
  const stage = memoryStage()
  const any = fc.array(onPlanChange === 'keep-proportion' ? small : some, { minLength: 2, maxLength: 4 })
  const one = of === undefined ? undefined : MODELS[of]
  const isBeside = kinds.includes('renew') && of !== 'a concurrency'
  const pairs = one === undefined ? any : isBeside ? fc.tuple(one, leases) : one.map((pair) => [pair])
  const property = fc.asyncProperty(pairs, histories(kinds), async (models, steps) => {
    const changed = models.map((pair) => pair.changed)
    const plain = models.map((pair) => pair.plain)
    await new Play(stage, scripts, plain, { changed, onPlanChange: onPlanChange ?? 'keep-used' }).all(steps)
  })
  await fc.assert(property, { numRuns, endOnFailure: true })
}

it.each([undefined, 'keep-proportion', 'reset'] as const)(
  'scripts without a mistake pass: %s',
  { timeout: 60_000 },
  async (onPlanChange) => {
    await expect(play(SCRIPTS, onPlanChange && { onPlanChange }, EVERYTHING, 20)).resolves.toBeUndefined()
  },
)

it.each([
  ...Object.entries(MUTANTS).map(([name, one]) => [name, one, COUNTS] as const),
  ...Object.entries({ ...MUTANTS_OF_MARKS, ...MUTANTS_OF_RENEWALS }).map(
    ([name, one]) => [name, one, EVERYTHING] as const,
  ),
])('a script that %s is caught', { timeout: 60_000 }, async (_, { script, from, to, ...where }, kinds) => {
  const scripts = { ...SCRIPTS, [script]: mutant(SCRIPTS[script], from, to) }
  await expect(play(scripts, where, kinds, 2000)).rejects.toThrow('Property failed')
})
