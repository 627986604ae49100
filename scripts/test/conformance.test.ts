import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { imports } from '../docs/compile.js'

const script = fileURLToPath(new URL('../conformance.mjs', import.meta.url))
const conformance = (...args: string[]) =>
  spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })

describe('npm run conformance', () => {
  it('lists its suites, each of which there is, and ends well', () => {
    const { status, stdout } = conformance('--help')
    expect(status).toBe(0)
    const names = [...stdout.matchAll(/^ {2}([a-z][a-z0-9-]+) {2,}(?:the|what)/gm)].map(([, name]) => name)
    expect(names).toEqual(['keyv', 'bentocache', 'unstorage', 'cache-manager', 'next', 'next-15'])
    for (const name of names) {
      const file = `../../conformance/${name}.suite.ts`
      expect(existsSync(fileURLToPath(new URL(file, import.meta.url)))).toBe(true)
    }
  })

  it.each([
    [['keyw'], /There is no suite "keyw"/],
    [['--ours'], /Unknown option '--ours'/],
  ])('refuses %j in one sentence', (args, sentence) => {
    const { status, stdout, stderr } = conformance(...args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(sentence)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

it('a block is compiled there if it imports a package, or a part of it, that only conformance/ installs', () => {
  const block = (code: string) => ({ file: 'a.md', line: 1, language: 'ts', code })
  const only = ['keyv', 'bentocache']
  expect(imports(block("import { Keyv } from 'keyv'\n"), only)).toBe(true)
  expect(imports(block("import {\n  memoryDriver,\n} from 'bentocache/drivers/memory'\n"), only)).toBe(true)
  expect(imports(block("import { KeyvStore } from 'slotwise/cache/keyv'\n"), only)).toBe(false)
  expect(imports(block("import { a } from 'keyv-not'\n"), only)).toBe(false)
})
