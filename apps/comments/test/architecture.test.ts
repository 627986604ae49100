import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** Which part may know which, apart from itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  main: ['compose', 'config', 'server'],
  compose: ['config', 'db', 'repositories', 'routes', 'server', 'services'],
  config: [],
  server: [],
  trace: [],
  problems: [],
  tenants: ['db'],
  db: ['trace'],
  repositories: ['db'],
  services: ['repositories', 'problems', 'tenants', 'trace'],
  // Types of what a service returns may be the repository's; the classes may not be made here.
  routes: ['services', 'problems', 'tenants', 'trace', 'repositories'],
  import: ['db', 'repositories', 'services', 'tenants', 'config', 'problems'],
  sample: ['db', 'repositories', 'tenants', 'import'],
}

/** Packages, and the parts that may know them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  slotwise: ['problems', 'services'],
  'slotwise/cache': ['services'],
  'slotwise/invalidation': ['db', 'services'],
  // Of its fences: their table belongs to the schema.
  'slotwise/lock': ['services', 'compose', 'db'],
  'slotwise/prometheus': ['services'],
  'slotwise/ratelimit': ['services'],
  'slotwise/ratelimit/http': ['services'],
  'slotwise/redis': ['services'],
  'slotwise/writebehind': ['db', 'services'],
  'slotwise/ioredis': ['compose', 'import'],
  pg: ['db', 'import'],
  kysely: ['db', 'repositories', 'tenants', 'import', 'sample'],
  hono: ['routes'],
  'hono/http-exception': ['routes'],
  '@hono/zod-openapi': ['routes'],
  '@hono/node-server': ['server'],
  'prom-client': ['services'],
  zod: ['config', 'routes', 'import'],
  pino: ['compose', 'routes'],
  saxes: ['import'],
  'html-to-text': ['import'],
}

interface Import {
  readonly from: string
  readonly target: string
  readonly typeOnly: boolean
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.split(sep).join('/'))

function importsOf(path: string, text: string): readonly Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s(?:(type)\s)?(?:[^'"`;]*?\sfrom\s*)?['"]([^'"\n]+)['"]/gm,
  )
  return Array.from(statements, ([, type, target = '']) => ({
    from: path,
    target,
    typeOnly: type !== undefined,
  }))
}

const partOf = (path: string) => (path.split('/')[0] ?? '').replace(/\.ts$/, '')

function wrong({ from, target, typeOnly }: Import): string | undefined {
  const part = partOf(from)
  if (ARROWS[part] === undefined) return `${from}: ${part} is not on the map`
  if (target.startsWith('node:')) return undefined
  if (!target.startsWith('.')) {
    return PACKAGES[target]?.includes(part) === true ? undefined : `${from} must not know ${target}`
  }
  const other = partOf(posix.normalize(posix.join(posix.dirname(from), target)).replace(/\.js$/, '.ts'))
  if (other !== part && !ARROWS[part].includes(other)) return `${from} must not know ${other}`
  if (part === 'routes' && other === 'repositories' && !typeOnly) return `${from} makes a repository`
  return undefined
}

describe('the map of the service', () => {
  it('holds: routes → services → repositories → db, patterns in services, one composition root', () => {
    const imports = files.flatMap((path) => importsOf(path, readFileSync(join(SRC, path), 'utf8')))
    expect(imports.length).toBeGreaterThan(100)
    expect(imports.map(wrong).filter((sentence) => sentence !== undefined)).toEqual([])
  })

  it('would show a repository made in a route, a pattern outside of services, and a part that is not on it', () => {
    const shown = (path: string, text: string) => importsOf(path, text).map(wrong)
    expect(shown('routes/x.ts', "import { A } from '../repositories/comments.js'")).toEqual([
      'routes/x.ts makes a repository',
    ])
    expect(shown('repositories/x.ts', "import { Cache } from 'slotwise/cache'")[0]).toContain('must not know')
    expect(shown('services/x.ts', "import { migrate } from '../db/index.js'")[0]).toContain('must not know')
    expect(shown('elsewhere/x.ts', "import 'pg'")[0]).toContain('not on the map')
  })

  it('makes services and repositories in the composition root alone', () => {
    const makers = files.filter((path) =>
      /new \w+(?:Service|Repository)\(/.test(readFileSync(join(SRC, path), 'utf8')),
    )
    expect(makers.filter((path) => partOf(path) !== 'import')).toEqual(['compose.ts'])
  })
})
