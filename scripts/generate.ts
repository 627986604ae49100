/**
 * Writes every generated file, or with `--check` says which of them are out of date, with exit code 1.
 *
 * For each `packages/<package>/src/**\/x.lua` that is no part of others its neighbour `x.lua.ts` and its twin below `testing/scripts`; from the
 * error classes docs/errors.md.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorsPage } from './errors-page.js'
import { filesUnder, luaFiles, sourceRoots } from './lua/files.js'
import { HeaderError } from './lua/header.js'
import { isPart, withIncluded } from './lua/include.js'
import { moduleOf } from './lua/module.js'
import { LuaSyntaxError } from './lua/parse.js'
import { twinListOf, twinModuleOf, twinPathOf } from './lua/twin/module.js'

const check = process.argv.includes('--check')
const outputs = new Map<string, string>()
const problems: string[] = []

const scripts = luaFiles().filter(({ path }) => !isPart(path))
for (const file of scripts) {
  try {
    const text = withIncluded(file.path, readFileSync(file.path, 'utf8'))
    outputs.set(`${file.path}.ts`, moduleOf(file, text))
    outputs.set(twinPathOf(file), twinModuleOf(file, text))
  } catch (error) {
    if (!(error instanceof HeaderError || error instanceof LuaSyntaxError)) throw error
    problems.push(`${file.path}:${error.line}: ${error.message}`)
  }
}

for (const sourceRoot of sourceRoots()) {
  const files = scripts.filter((file) => file.sourceRoot === sourceRoot)
  if (files.length === 0) continue
  const { path, text } = twinListOf(sourceRoot, files)
  outputs.set(path, text)
}

const errors = 'packages/slotwise/src/errors.ts'
if (existsSync(errors)) outputs.set('docs/errors.md', errorsPage(readFileSync(errors, 'utf8')))

let written = 0
for (const [path, text] of outputs) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
  if (check) problems.push(`${path} is out of date: npm run generate`)
  else {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
  written++
}

for (const path of sourceRoots().flatMap((root) => filesUnder(root, '.lua.ts'))) {
  // A script that cannot be read has not lost anything.
  if (outputs.has(path) || problems.length > 0) continue
  if (check) problems.push(`${path} has lost its Lua file: npm run generate`)
  else rmSync(path)
}

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`${outputs.size} generated files, ${check ? 'all up to date' : `${written} written`}`)
