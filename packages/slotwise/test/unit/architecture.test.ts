import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ARROWS, type Sources, VAGUE, violations } from '../support/arrows.js'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const home = join(repository, 'packages/slotwise')

const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
}
const dependencies = Object.keys(manifest.dependencies ?? {})

function sourcesUnder(folder: string): Sources {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return new Map(
    paths
      .filter((path) => /(?<!\.lua)\.ts$/.test(path) || path.endsWith('.lua.ts'))
      .map((path) => [relative(folder, path).split(sep).join('/'), readFileSync(path, 'utf8')]),
  )
}

const foldersIn = (path: string) =>
  readdirSync(join(home, 'src', path))
    .map((name) => `${path}${name}`)
    .filter((name) => statSync(join(home, 'src', name)).isDirectory())

const isIndexed = (folder: string) => existsSync(join(home, 'src', folder, 'index.ts'))

/**
 * The parts that have a folder of their own, whatever lies in it. Adapters of a pattern for other packages' interfaces
 * are parts below it, and so is what stands on the map below `testing`; its other folders are rooms of its own.
 */
const folders = foldersIn('').flatMap((name) => [
  name,
  ...foldersIn(`${name}/`).filter(name === 'testing' ? (below) => below in ARROWS : isIndexed),
])
const isAdapter = (name: string) => name.includes('/') && !name.startsWith('testing/')

/** What `exports` says of a folder below `src/`. */
const exported = (folder: string) => ({
  'slotwise-source': `./src/${folder}index.ts`,
  types: `./dist/${folder}index.d.ts`,
  default: `./dist/${folder}index.js`,
})

describe('the map of the package', () => {
  it('holds: every import goes the way of the arrows', () => {
    expect(violations(sourcesUnder(join(home, 'src')), dependencies)).toEqual([])
  })

  it('has no cycle between its parts, types included', () => {
    const order: string[] = []
    const settle = (part: string, above: readonly string[]): void => {
      expect(above, `${part} needs itself`).not.toContain(part)
      if (order.includes(part)) return
      for (const other of ARROWS[part] ?? []) settle(other, [...above, part])
      order.push(part)
    }
    for (const part of Object.keys(ARROWS)) settle(part, [])
    expect(order).toHaveLength(Object.keys(ARROWS).length)
  })

  it('is the list of subpaths: every folder with an index is exported under its name, and nothing else', () => {
    const indexed = folders.filter(isIndexed)
    expect(manifest.exports).toEqual({
      '.': exported(''),
      ...Object.fromEntries(indexed.map((name) => [`./${name}`, exported(`${name}/`)])),
      './package.json': './package.json',
    })
    expect(folders).toEqual(indexed)
  })

  it('gives every pattern a page and a folder of tests against a real cluster', () => {
    const patterns = folders.filter((name) => !['redis', 'ioredis', 'node-redis'].includes(name))
    const missing = patterns
      .flatMap((name) => [
        `docs/patterns/${isAdapter(name) ? name.replace(/\/.*$/, '-adapters') : name.replace('testing/', '')}.md`,
        `packages/slotwise/test/cluster/${name}`,
      ])
      .filter(
        (path) => !existsSync(join(repository, path)) && !existsSync(join(repository, `${path}.test.ts`)),
      )
    expect(missing).toEqual([])
  })

  it('knows no folder or file that is named after what kind of thing lies in it', () => {
    const roots = ['apps', 'scripts', 'bench', 'examples'].map((name) => join(repository, name))
    const named = roots
      .filter((root) => existsSync(root))
      .flatMap((root) => readdirSync(root, { withFileTypes: true, recursive: true }))
      .filter((entry) => !entry.parentPath.includes('node_modules'))
      .filter((entry) => VAGUE.test(entry.name.replace(/\.[a-z]+$/, '')))
    expect(named.map(({ parentPath, name }) => join(parentPath, name))).toEqual([])
  })

  it('is used by the apps through its subpaths only', () => {
    const apps = readdirSync(join(repository, 'apps'))
    const reaching = apps.flatMap((app) =>
      [...sourcesUnder(join(repository, 'apps', app, 'src'))].filter(([, text]) =>
        /from '[^']*packages\/slotwise|from 'slotwise\/(?:src|dist)/.test(text),
      ),
    )
    expect(reaching.map(([path]) => path)).toEqual([])
  })

  it('builds keys in one place: no script writes a brace in a string', () => {
    const scripts = readdirSync(join(home, 'src'), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.name.endsWith('.lua'))
      .map((entry) => join(entry.parentPath, entry.name))
    const writing = scripts.filter((path) => /(['"])[^'"\n]*[{}][^'"\n]*\1/.test(readFileSync(path, 'utf8')))
    expect(writing).toEqual([])
  })
})

describe('a violation that is planted is found', () => {
  const SOUND: Sources = new Map([
    ['errors.ts', 'export class E extends Error {}'],
    ['options.ts', "import { E } from './errors.js'\n"],
    ['keys.ts', "import { E } from './errors.js'\nexport const key = (id: string) => `a:{${id}}` as Key\n"],
    ['redis/port.ts', "import type { Key } from '../keys.js'\nimport type { Script } from './script.js'\n"],
    ['redis/script.ts', "import type { Port } from './port.js'\n"],
    ['redis/index.ts', "export type { Port } from './port.js'\nexport * from './script.js'\n"],
    ['ioredis/index.ts', "import { Cluster } from 'ioredis'\nimport type { Port } from '../redis/port.js'\n"],
    ['invalidation/index.ts', "import type { Port } from '../redis/port.js'\n"],
    [
      'cache/index.ts',
      "import { a } from '../invalidation/index.js'\nimport { LRUCache } from 'lru-cache'\n",
    ],
    ['lock/index.ts', "/**\n * ```ts\nimport { x } from 'anything'\n * ```\n */\nexport const a = 1\n"],
    ['cluster/index.ts', "import { connect } from 'node:net'\n"],
    ['testing/faults/index.ts', "import type { Port } from '../../redis/port.js'\n"],
    ['local/index.ts', "import {\n  createCluster,\n} from '../cluster/index.js'\n"],
  ])
  const planted = (path: string, text: string) => violations(new Map([...SOUND, [path, text]]), ['lru-cache'])

  it('and nothing where there is none', () => {
    expect(violations(SOUND, ['lru-cache'])).toEqual([])
  })

  it.each([
    ['redis/a.ts', "import { a } from '../cache/index.js'", 'redis/a.ts must not know cache/index.ts'],
    ['redis/a.ts', "import type { a } from '../lock/index.js'", 'redis/a.ts must not know lock/index.ts'],
    ['cache/a.ts', "export { a } from '../lock/index.js'", 'cache/a.ts must not know lock/index.ts'],
    ['invalidation/a.ts', "import '../cache/index.js'", 'invalidation/a.ts must not know cache/index.ts'],
    [
      'cache/a.ts',
      "const a = await import('../ioredis/index.js')",
      'cache/a.ts must not know ioredis/index.ts',
    ],
    [
      'cluster/a.ts',
      "import {\n  b,\n} from '../local/index.js'",
      'cluster/a.ts must not know local/index.ts',
    ],
    ['keys.ts', "import { a } from './redis/port.js'", 'keys.ts must not know redis/port.ts'],
    ['lock/a.ts', "import { Redis } from 'ioredis'", 'lock/a.ts imports a peer, ioredis'],
    ['redis/a.ts', "import type { C } from 'ioredis/built/x'", 'redis/a.ts imports a peer, ioredis/built/x'],
    ['lock/a.ts', "import pg from 'pg'", 'lock/a.ts imports pg, which is no dependency'],
    ['lock/a.ts', "import a from '@x/y/z'", 'lock/a.ts imports @x/y/z, which is no dependency'],
    [
      'lock/a.ts',
      "import a from '../../../apps/a.js'",
      'lock/a.ts reaches out of the package, to ../../../apps/a.js',
    ],
    ['lock/a.ts', "import a from './gone.js'", 'lock/a.ts imports ./gone.js, which is not among the sources'],
    ['lock/a.ts', 'await import(name)', 'lock/a.ts loads something by a name that cannot be read here'],
    ['queue/a.ts', "import 'node:net'", 'queue/a.ts: queue is not on the map of parts'],
    [
      'testing/faults/a.ts',
      "import '../../local/index.js'",
      'testing/faults/a.ts must not know local/index.ts',
    ],
    ['cache/a.ts', "import '../testing/faults/index.js'", 'cache/a.ts must not know testing/faults/index.ts'],
    ['testing/a.ts', "import '../cache/index.js'", 'testing/a.ts must not know cache/index.ts'],
    ['lock/utils.ts', '', 'lock/utils.ts: utils says nothing'],
    ['lock/helpers/a.ts', '', 'lock/helpers/a.ts: helpers says nothing'],
    ['errors.ts', "import './options.js'", 'errors.ts must not know options.ts'],
    ['lock/a.ts', 'const k = `lock:{${id}}`', 'lock/a.ts writes a brace into a key: :{'],
    ['lock/a.ts', "const k = 'lock:' + '{' + id", "lock/a.ts writes a brace into a key: '{'"],
    ['lock/a.ts', 'const k = id as Key', 'lock/a.ts makes a key by itself: as Key'],
  ])('%s: %s', (path, text, sentence) => {
    expect(planted(path, `${text}\n`)).toContainEqual(expect.stringContaining(sentence.replace(/: :\{$/, '')))
  })

  it('a cycle of values, which type imports do not make', () => {
    const found = planted('cache/index.ts', "import { a } from './b.js'\n")
    expect(found).toEqual(['cache/index.ts imports ./b.js, which is not among the sources'])
    const cycle = new Map([
      ...SOUND,
      ['cache/index.ts', "import { a } from './b.js'\n"],
      ['cache/b.ts', "import { a } from './index.js'\n"],
    ])
    expect(violations(cycle, [])).toEqual(['cycle: cache/index.ts → cache/b.ts → cache/index.ts'])
  })
})
