/**
 * Writes every generated file, or with `--check` says which of them are out of date, with exit code 1.
 *
 * For each `packages/<package>/src/**\/x.lua` its neighbour `x.lua.ts`; from the error classes docs/errors.md.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { errorsPage } from './errors-page.js'
import { filesUnder, luaFiles, sourceRoots } from './lua/files.js'
import { HeaderError } from './lua/header.js'
import { moduleOf } from './lua/module.js'
import { LuaSyntaxError } from './lua/parse.js'

const check = process.argv.includes('--check')
const outputs = new Map<string, string>()
const problems: string[] = []

for (const file of luaFiles()) {
  try {
    outputs.set(`${file.path}.ts`, moduleOf(file, readFileSync(file.path, 'utf8')))
  } catch (error) {
    if (!(error instanceof HeaderError || error instanceof LuaSyntaxError)) throw error
    problems.push(`${file.path}:${error.line}: ${error.message}`)
  }
}

const errors = 'packages/slotwise/src/errors.ts'
if (existsSync(errors)) outputs.set('docs/errors.md', errorsPage(readFileSync(errors, 'utf8')))

let written = 0
for (const [path, text] of outputs) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue
  if (check) problems.push(`${path} is out of date: npm run generate`)
  else writeFileSync(path, text)
  written++
}

for (const path of sourceRoots().flatMap((root) => filesUnder(root, '.lua.ts'))) {
  if (existsSync(path.slice(0, -'.ts'.length))) continue
  if (check) problems.push(`${path} has lost its Lua file: npm run generate`)
  else rmSync(path)
}

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`${outputs.size} generated files, ${check ? 'all up to date' : `${written} written`}`)
