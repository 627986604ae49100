import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Finding } from './blocks.js'

/**
 * Compiles TypeScript blocks, each as a module of its own, with the settings and the packages of the repository,
 * and gives the errors where the blocks stand. `within` is a folder of it that has packages of its own.
 */
export function compileErrors(blocks: readonly Block[], root: string, within = root): Finding[] {
  // Inside the repository, so that its packages and its workspaces are found.
  mkdirSync(join(within, 'dist'), { recursive: true })
  const folder = mkdtempSync(join(within, 'dist', 'docs-'))
  try {
    for (const [i, { code }] of blocks.entries())
      writeFileSync(join(folder, fileName(i)), `${code}export {}\n`)
    const config = {
      extends: join(root, 'tsconfig.json'),
      // An example shows a call; what a reader would do with its result is not its subject.
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, allowJs: false, checkJs: false },
      include: ['*.ts'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(root, 'node_modules/.bin/tsc')
    const run = spawnSync(tsc, ['-p', '.', '--pretty', 'false'], { cwd: folder, encoding: 'utf8' })
    if (run.status === 0) return []
    const findings = run.stdout.split('\n').flatMap((line) => mapped(line, blocks))
    // Nothing of it was about a block: then the compiler itself is what failed.
    if (findings.length === 0) throw new Error(`tsc failed:\n${run.stdout}${run.stderr}`)
    return findings
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether a block imports one of these packages. */
export function imports({ code }: Block, packages: readonly string[]): boolean {
  const imported = [...code.matchAll(/\bfrom\s+'([^'.][^']*)'/g)].map(([, path = '']) => path)
  return imported.some((path) => packages.some((name) => path === name || path.startsWith(`${name}/`)))
}

const fileName = (i: number): string => `block${i}.ts`

function mapped(line: string, blocks: readonly Block[]): Finding[] {
  const [, number = '', inBlock = '', message = ''] = /^block(\d+)\.ts\((\d+),\d+\): (.*)$/.exec(line) ?? []
  const block = number === '' ? undefined : blocks[Number(number)]
  return block === undefined ? [] : [{ file: block.file, line: block.line + Number(inBlock) - 1, message }]
}
