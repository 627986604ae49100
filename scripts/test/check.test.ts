import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../check.mjs', import.meta.url))
const check = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })

describe('npm run check', () => {
  it('lists its steps in the order in which they run, and ends well', () => {
    const { status, stdout } = check('--help')
    expect(status).toBe(0)
    const steps = [...stdout.matchAll(/^ {2}(\w+) {2,}\w/gm)].map(([, name]) => name)
    expect(steps).toEqual('generated format lint lua types build dead docs tests package'.split(' '))
  })

  it.each([
    [['--only', 'nothing'], /There is no step nothing; there are generated, format/],
    [['--nothing'], /Unknown option '--nothing'/],
    [['lint'], /Unexpected argument 'lint'/],
  ])('refuses %j in one sentence', (args, sentence) => {
    const { status, stdout, stderr } = check(...args)
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(sentence)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})
