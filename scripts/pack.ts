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
  readonly dependencies?: Readonly<Record<string, string>>
  readonly files: readonly string[]
  readonly [field: string]: unknown
}

/** A package as it would be installed. */
export interface Packed {
  readonly folder: string
  readonly tarball: string
}

/** In the order in which they are built: a later one sees an earlier one as its users will. */
export const PACKAGES = ['slotwise', 'cli'] as const

/**
 * Builds one package of `packages/` and packs it. One that depends on another of ours is compiled against that one as
 * packed beside it, which therefore comes first.
 */
export function pack(name: (typeof PACKAGES)[number], into: string): Packed {
  const source = join(root, 'packages', name)
  const folder = join(resolve(into), name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as Manifest
  const ours = PACKAGES.filter((one) => manifest.dependencies?.[one] !== undefined)
  compile(
    source,
    join(folder, 'dist'),
    Object.fromEntries(ours.map((one) => [one, join(resolve(into), one)])),
  )
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

/** By a configuration of its own where packages of ours are to be found elsewhere than in the repository. */
function compile(source: string, into: string, others: Readonly<Record<string, string>>): void {
  const project = join(source, 'tsconfig.build.json')
  if (Object.keys(others).length === 0) {
    run(join(root, 'node_modules/.bin/tsc'), ['-p', project, '--outDir', into])
    return
  }
  const paths = Object.entries(others).flatMap(([name, folder]) => {
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
    return Object.entries(exports).flatMap(([subpath, target]) =>
      typeof target === 'string'
        ? []
        : [[`${name}${subpath.slice(1)}`, [join(folder, target['types'] ?? '')]]],
    )
  })
  // In the folder of the sources, from where their other packages are found.
  const own = join(source, `tsconfig.packing-${process.pid}.json`)
  const config = { extends: './tsconfig.build.json', compilerOptions: { paths: Object.fromEntries(paths) } }
  writeFileSync(own, JSON.stringify(config))
  try {
    run(join(root, 'node_modules/.bin/tsc'), ['-p', own, '--outDir', into])
  } finally {
    rmSync(own, { force: true })
  }
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
    for (const name of PACKAGES) console.log(pack(name, process.argv[2] ?? join(root, 'dist')).tarball)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
