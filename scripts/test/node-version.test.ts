import { expect, it } from 'vitest'
import { nodeProblem } from '../node-version.mjs'

it.each(['20.19.0', '20.20.2', '22.12.0', '22.20.1', '23.0.0', '24.1.0', '30.0.0'])(
  'Node %s will do',
  (version) => {
    expect(nodeProblem(version)).toBeUndefined()
  },
)

it.each(['0.12.18', '12.22.0', '18.20.8', '20.18.3', '21.7.3', '22.11.0'])(
  'Node %s is refused in one sentence that says what is needed and where it is',
  (version) => {
    const problem = nodeProblem(version)
    expect(problem).toMatch(
      /^This is Node [\d.]+, .*20\.19.*22\.12.*https:\/\/nodejs\.org, then start again\.$/,
    )
    expect(problem).toContain(version)
  },
)
