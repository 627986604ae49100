/** Says what is wrong with the Lua scripts of the product, or of the files named. Exit code 1 if anything is. */
import { readFileSync } from 'node:fs'
import { luaFiles } from './lua/files.js'
import { isPart } from './lua/include.js'
import { lintLua } from './lua/lint.js'

const named = process.argv.slice(2)
const paths = named.length > 0 ? named : luaFiles().map(({ path }) => path)
const findings = paths.flatMap((path) =>
  lintLua(readFileSync(path, 'utf8'), { isPart: isPart(path) }).map(
    ({ line, message }) => `${path}:${line}: ${message}`,
  ),
)

for (const finding of findings) console.error(finding)
if (findings.length > 0) process.exit(1)
console.log(`${paths.length} scripts, nothing to complain about`)
