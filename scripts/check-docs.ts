/**
 * Holds every `.md` file and every doc comment of the sources to the truth: TypeScript blocks compile, JSON and
 * Lua blocks parse (whole scripts pass the linter), npm scripts and files that shell blocks name exist, links lead somewhere,
 * and a block marked `from=FILE` is that file. Exit code 1 if not.
 *
 * Blocks that use packages which only conformance/ installs are compiled with `--conformance`, and nothing else is then.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Block, blocksOf, examplesOf, type Finding } from './docs/blocks.js'
import { brokenCommands } from './docs/commands.js'
import { compileErrors, imports } from './docs/compile.js'
import { brokenLinks } from './docs/links.js'
import { drifted } from './docs/sources.js'
import { filesUnder } from './lua/files.js'
import { lintLua } from './lua/lint.js'
import { LuaSyntaxError, parseLua } from './lua/parse.js'

const root = process.cwd()
const LEFT_OUT = new Set(['node_modules', 'dist', 'coverage'])

const files = readdirSync(root, { withFileTypes: true })
  .filter(({ name }) => !LEFT_OUT.has(name) && !name.startsWith('.'))
  .flatMap((entry) =>
    entry.isDirectory() ? filesUnder(join(root, entry.name), '') : [join(root, entry.name)],
  )
  .map((path) => relative(root, path))
  .filter((path) => !path.split('/').some((part) => LEFT_OUT.has(part)))

const findings: Finding[] = []
const blocks: Block[] = []
for (const file of files.filter((path) => path.endsWith('.md'))) {
  const text = readFileSync(file, 'utf8')
  blocks.push(...blocksOf(file, text))
  findings.push(...brokenLinks(file, text))
}
for (const file of files.filter((path) => /^(packages|apps)\/[^/]+\/src\/.*(?<!\.lua)\.ts$/.test(path))) {
  const examples = examplesOf(file, readFileSync(file, 'utf8'))
  blocks.push(...examples.blocks)
  findings.push(...examples.findings)
}

const typescript = blocks.filter(({ language }) => language === 'ts' || language === 'typescript')
const { dependencies } = JSON.parse(readFileSync(join(root, 'conformance/package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
}
const elsewhere = Object.keys(dependencies).filter((name) => !existsSync(join(root, 'node_modules', name)))
const foreign = typescript.filter((block) => imports(block, elsewhere))
if (process.argv.includes('--conformance')) {
  report(compileErrors(foreign, root, join(root, 'conformance')))
  console.log(`${foreign.length} blocks with the packages of conformance/ compile`)
} else {
  const own = typescript.filter((block) => !foreign.includes(block))
  report([
    ...findings,
    ...blocks.flatMap((block) => drifted(block, root)),
    ...compileErrors(own, root),
    ...blocks.flatMap(othersThanTypeScript),
  ])
  console.log(
    `${blocks.length} blocks are true, ${own.length} of them TypeScript that compiles; \`npm run conformance\` compiles ${foreign.length} more`,
  )
}

function report(all: readonly Finding[]): void {
  for (const { file, line, message } of all) console.error(`${file}:${line}: ${message}`)
  if (all.length > 0) process.exit(1)
}

function othersThanTypeScript(block: Block): Finding[] {
  const { file, line, language, code } = block
  try {
    if (language === '') return [{ file, line, message: 'a block must name its language, `text` if none' }]
    if (language === 'json') JSON.parse(code)
    if (language === 'lua' && code.includes('@key')) {
      return lintLua(code).map((finding) => ({
        file,
        line: line + finding.line - 1,
        message: finding.message,
      }))
    }
    if (language === 'lua') parseLua(code)
    return ['sh', 'bash', 'shell', 'console'].includes(language) ? brokenCommands(block, root) : []
  } catch (error) {
    if (error instanceof LuaSyntaxError)
      return [{ file, line: line + error.line - 1, message: error.message }]
    if (error instanceof SyntaxError) return [{ file, line, message: error.message }]
    throw error
  }
}
