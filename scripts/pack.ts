/**
 * Builds the packages that are published, each into `dist/<name>` and `dist/<name>-<version>.tgz` (or under the
 * folder given as the only argument). The folder of a package in the repository is never published itself: it
 * points to sources.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** What `package.json` says, as far as packing looks at it. */
interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly files: readonly string[]
  readonly [field: string]: unknown
}

/** A package as it would be installed. */
export interface Packed {
  readonly folder: string
  readonly tarball: string
}

/** Builds one package of `packages/` and packs it. */
export function pack(name: string, into: string): Packed {
  const source = join(root, 'packages', name)
  const folder = join(resolve(into), name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  run(join(root, 'node_modules/.bin/tsc'), [
    '-p',
    join(source, 'tsconfig.build.json'),
    '--outDir',
    join(folder, 'dist'),
  ])
  const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as Manifest
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(publishable(manifest), undefined, 2)}\n`)
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md']) {
    const path = [join(source, file), join(root, file)].find((candidate) => existsSync(candidate))
    if (path !== undefined) cpSync(path, join(folder, file))
  }
  // npm's own words would say it ran for the workspace; --json names the file it made.
  const [made] = JSON.parse(
    run('npm', ['pack', folder, '--pack-destination', resolve(into), '--json', '--ignore-scripts']),
  ) as [{ readonly filename: string }]
  return { folder, tarball: join(resolve(into), basename(made.filename)) }
}

/** Without what only the repository needs: the way to the sources, the tools, the mark that forbids publishing. */
export function publishable(manifest: Manifest): Manifest {
  const { private: _private, scripts: _scripts, devDependencies: _development, ...rest } = manifest
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([subpath, target]) => [
      subpath,
      typeof target === 'string' ? target : withoutSource(target),
    ]),
  )
  return { ...rest, exports, files: [...manifest.files, 'CHANGELOG.md'] }
}

function withoutSource({ 'slotwise-source': _source, ...target }: Readonly<Record<string, string>>) {
  return target
}

function run(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: Buffer; readonly stderr?: Buffer }
    throw new Error(`${basename(command)} failed:\n${stdout?.toString() ?? ''}${stderr?.toString() ?? ''}`, {
      cause: error,
    })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { tarball } = pack('slotwise', process.argv[2] ?? join(root, 'dist'))
    console.log(tarball)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
