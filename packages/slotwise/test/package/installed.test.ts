import { execFileSync, spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Packed, pack, publishable } from '../../../../scripts/pack.js'

const repository = fileURLToPath(new URL('../../../../', import.meta.url))
const manifest = JSON.parse(
  readFileSync(join(repository, 'packages/slotwise/package.json'), 'utf8'),
) as Parameters<typeof publishable>[0] & { readonly dependencies?: Readonly<Record<string, string>> }

const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json')
const nameOf = (subpath: string) => `slotwise${subpath.slice(1)}`
/** The subpaths that need a library of the user's, and which. */
const ADAPTERS = [
  ['./ioredis', 'ioredis'],
  ['./node-redis', 'redis'],
  ['./otel', '@opentelemetry/api'],
  ['./prometheus', 'prom-client'],
] as const
const withoutClient = subpaths.filter((subpath) => !ADAPTERS.some(([adapter]) => subpath === adapter))

const root = mkdtempSync(join(tmpdir(), 'slotwise installed '))
/** A project as a user would have it: the packed package, what it depends on, and no client library. */
const bare = join(root, 'bare')
/** The same with its peers. */
const full = join(root, 'full')
let packed: Packed

function project(folder: string, peers: readonly string[]) {
  mkdirSync(join(folder, 'node_modules/slotwise'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  execFileSync('tar', [
    '-xzf',
    packed.tarball,
    '--strip-components=1',
    '-C',
    join(folder, 'node_modules/slotwise'),
  ])
  for (const name of [...Object.keys(manifest.dependencies ?? {}), ...peers]) {
    mkdirSync(join(folder, 'node_modules', name, '..'), { recursive: true })
    symlinkSync(join(repository, 'node_modules', name), join(folder, 'node_modules', name))
  }
}

/** Runs a module in a project; what it wrote to either stream. */
function run(folder: string, file: string, code: string, ...flags: string[]) {
  writeFileSync(join(folder, file), code)
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, file], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  return { status, stdout, stderr }
}

/** What the compiler says of a module that uses the package, with the strictest settings a user may have. */
function compile(folder: string, code: string, options: object = {}) {
  writeFileSync(join(folder, 'use.ts'), code)
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    ...options,
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }))
  const tsc = join(repository, 'node_modules/.bin/tsc')
  return spawnSync(tsc, ['-p', '.', '--pretty', 'false'], { cwd: folder, encoding: 'utf8' }).stdout
}

const importing = (paths: readonly string[]) =>
  paths.map((path, i) => `import * as m${i} from '${nameOf(path)}'\nexport const used${i} = m${i}\n`).join('')

beforeAll(() => {
  packed = pack('slotwise', join(root, 'packed'))
  project(bare, ['@types/node', 'undici-types'])
  project(full, ['@types/node', 'undici-types', ...ADAPTERS.map(([, library]) => library)])
}, 60_000)
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe('the packed package', () => {
  it('holds what is built and what is read, and nothing else', () => {
    const entries = readdirSync(join(bare, 'node_modules/slotwise'), { withFileTypes: true, recursive: true })
    const files = entries.filter((entry) => entry.isFile())
    const outside = files.filter(({ parentPath }) => !parentPath.includes('slotwise/dist'))
    expect(outside.map(({ name }) => name).toSorted()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'package.json',
    ])
    const inside = files.filter((file) => !outside.includes(file)).map(({ name }) => name)
    expect(inside.filter((name) => !/\.(js|d\.ts)$/.test(name))).toEqual([])
  })

  it('says nothing of the repository it came from', () => {
    const text = readFileSync(join(bare, 'node_modules/slotwise/package.json'), 'utf8')
    expect(text).not.toMatch(/slotwise-source|devDependencies|"private"|"scripts"|src\//)
    const searched = spawnSync('grep', ['-rlF', repository, 'node_modules/slotwise'], {
      cwd: bare,
      encoding: 'utf8',
    })
    expect(searched.stdout).toBe('')
  })

  it('keeps every other field of the manifest', () => {
    const { private: _private, devDependencies: _tools, ...rest } = manifest
    expect(publishable(manifest)).toMatchObject({
      ...rest,
      exports: expect.anything(),
      files: expect.arrayContaining(['dist']),
    })
  })
})

describe('installed without a client library', () => {
  it('loads every subpath but the adapters, and says nothing while it does', () => {
    const code = withoutClient.map((path) => `await import('${nameOf(path)}')`).join('\n')
    expect(run(bare, 'load.js', `${code}\nconsole.log('done')\n`)).toEqual({
      status: 0,
      stdout: 'done\n',
      stderr: '',
    })
  })

  it.each(ADAPTERS)('names the library that %s misses', (adapter, library) => {
    const { status, stderr } = run(bare, 'adapter.js', `import '${nameOf(adapter)}'\n`)
    expect(status).toBe(1)
    expect(stderr).toContain(`Cannot find package '${library}'`)
  })

  it('loads by require() as well, which gives the same classes', () => {
    const code = `
      import { createRequire } from 'node:module'
      const required = createRequire(import.meta.url)('slotwise')
      const imported = await import('slotwise')
      console.log(Object.keys(required).length > 5, required.ReplyError === imported.ReplyError)
    `
    expect(run(bare, 'required.js', code)).toEqual({ status: 0, stdout: 'true true\n', stderr: '' })
    const all = withoutClient.map((path) => `require('${nameOf(path)}')`).join('\n')
    expect(run(bare, 'required.cjs', all)).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it.each([
    ['node', {}],
    ['a bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('its declarations compile for %s under the strictest settings', (_, options) => {
    // Types of these libraries are declared by their shape only.
    const structural = ['./otel', './prometheus']
    expect(compile(bare, importing([...withoutClient, ...structural]), options)).toBe('')
  })

  it('lets nobody reach behind its subpaths', () => {
    for (const path of ['slotwise/dist/keys.js', 'slotwise/keys', 'slotwise/src/keys.ts']) {
      expect(run(bare, 'behind.js', `import '${path}'\n`).stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
    }
  })
})

describe('installed with the client libraries', () => {
  it('exports exactly these names', async () => {
    const code = subpaths
      .map(
        (path) =>
          `console.log('${nameOf(path)}:', Object.keys(await import('${nameOf(path)}')).toSorted().join(' '))`,
      )
      .join('\n')
    const { stdout, stderr } = run(full, 'names.js', code)
    expect(stderr).toBe('')
    // A name that goes or changes is a breaking change; one that comes is a promise. `npm test -- -u` after thinking.
    await expect(stdout).toMatchFileSnapshot('./names.txt')
  })

  it('compiles with its adapters, and takes what their libraries make', () => {
    const passing = `
      import { metrics, trace } from '@opentelemetry/api'
      import { Registry, register } from 'prom-client'
      import { instrument } from 'slotwise/otel'
      import { collect } from 'slotwise/prometheus'
      collect({ register: new Registry() })
      collect({ register })
      instrument({ meterProvider: metrics.getMeterProvider(), tracerProvider: trace.getTracerProvider() })
    `
    expect(compile(full, importing(subpaths) + passing)).toBe('')
  })

  it('runs a real cluster, and every pattern on it', { timeout: 60_000 }, () => {
    const code = `
      import { Cache } from 'slotwise/cache'
      import { connect } from 'slotwise/ioredis'
      import { startLocalCluster } from 'slotwise/local'
      import { Locks } from 'slotwise/lock'
      import { RateLimiter, tokenBucket } from 'slotwise/ratelimit'

      await using cluster = await startLocalCluster()
      await using redis = await connect(cluster.connectOptions)
      const cache = new Cache(redis, { name: 'c', ttlMs: 1000 })
      const tiers = { burst: tokenBucket({ capacity: 1, refillPerSecond: 1 }) }
      const limiter = new RateLimiter(redis, { name: 'r', tiers, whenUnavailable: 'deny' })
      const decisions = [await limiter.consume('a'), await limiter.consume('a')]
      const locks = new Locks(redis, { name: 'l', maxTtlMs: 1000 })
      console.log(
        await cache.getOrLoad('a', async () => 'loaded'),
        decisions.map(({ allowed }) => allowed),
        await locks.using('a', { ttlMs: 1000, waitMs: 10_000 }, async ({ token }) => typeof token),
      )
      await cache.close()
    `
    // `await using` is younger than Node 20: the compiler takes it down.
    const { status, stdout, stderr } = run(full, 'run.ts', code, '--import', import.meta.resolve('tsx'))
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: 'loaded [ true, false ] bigint\n',
      stderr: '',
    })
  })

  it.each(ADAPTERS)('leaves the client library alone until %s is imported', (adapter, library) => {
    const code = `
      import { createRequire } from 'node:module'
      const loaded = () =>
        Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('/node_modules/${library}/'))
      ${withoutClient.map((path) => `await import('${nameOf(path)}')`).join('\n')}
      const before = loaded()
      await import('${nameOf(adapter)}')
      console.log(before, loaded())
    `
    expect(run(full, 'loaded.js', code)).toEqual({ status: 0, stdout: 'false true\n', stderr: '' })
  })
})
