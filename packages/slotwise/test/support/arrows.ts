/** Sources by their path below `src/`, with forward slashes. */
export type Sources = ReadonlyMap<string, string>

/** One import or re-export, as it stands in a source. */
interface Import {
  readonly from: string
  readonly target: string
  readonly typeOnly: boolean
}

/** What everything may know. */
const GROUND = ['errors', 'options', 'telemetry', 'keys', 'slots', 'postgres', 'random', 'within']

/** Which part may know which, apart from itself. A part that is missing here is not allowed to exist. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  slots: [],
  postgres: ['errors', 'options', 'within'],
  random: [],
  within: [],
  telemetry: [],
  options: ['errors'],
  keys: ['errors', 'options'],
  index: GROUND,
  redis: GROUND,
  ioredis: [...GROUND, 'redis'],
  'node-redis': [...GROUND, 'redis'],
  cluster: [...GROUND, 'redis'],
  'testing/faults': [...GROUND, 'redis'],
  testing: [...GROUND, 'redis'],
  local: [...GROUND, 'redis', 'cluster', 'testing/faults'],
  invalidation: [...GROUND, 'redis'],
  cache: [...GROUND, 'redis', 'invalidation'],
  'cache/shelf': [...GROUND, 'redis', 'invalidation', 'cache'],
  'cache/keyv': [...GROUND, 'redis', 'cache/shelf'],
  'cache/bentocache': [...GROUND, 'redis', 'cache/shelf'],
  'cache/next': [...GROUND, 'redis', 'invalidation', 'cache', 'cache/shelf'],
  'cache/unstorage': [...GROUND, 'redis', 'cache/shelf'],
  ratelimit: [...GROUND, 'redis'],
  'ratelimit/hits': [...GROUND, 'redis'],
  'ratelimit/http': [...GROUND, 'redis', 'ratelimit'],
  'ratelimit/express': [...GROUND, 'redis', 'ratelimit', 'ratelimit/http', 'ratelimit/hits'],
  'ratelimit/fastify': [...GROUND, 'redis', 'ratelimit', 'ratelimit/http', 'ratelimit/hits'],
  'ratelimit/hono': [...GROUND, 'redis', 'ratelimit', 'ratelimit/http'],
  'ratelimit/nest': [...GROUND, 'redis', 'ratelimit', 'ratelimit/http'],
  'ratelimit/next': [...GROUND, 'redis', 'ratelimit', 'ratelimit/http'],
  'ratelimit/migration': [...GROUND, 'redis', 'ratelimit'],
  lock: [...GROUND, 'redis'],
  pubsub: [...GROUND, 'redis', 'lock'],
  writebehind: [...GROUND, 'redis', 'lock'],
  session: [...GROUND, 'redis', 'lock', 'pubsub'],
  leaderboard: [...GROUND, 'redis', 'lock', 'pubsub'],
  metrics: [],
  measure: ['telemetry', 'metrics', 'redis'],
  gauges: [...GROUND, 'metrics', 'measure', 'redis', 'cluster'],
  otel: [...GROUND, 'metrics', 'measure', 'gauges'],
  prometheus: [...GROUND, 'metrics', 'measure', 'gauges'],
}

/** The libraries that a user brings along, and the one part that may import each. */
const CLIENTS: Readonly<Record<string, string>> = {
  ioredis: 'ioredis',
  redis: 'node-redis',
  '@opentelemetry/api': 'otel',
  'prom-client': 'prometheus',
}

/** Names that say what kind of thing is inside rather than what it is about. */
export const VAGUE = /^(utils?|helpers?|common|types?|interfaces?|misc|shared|lib)$/

/** Everything in the sources of the package that goes against the map, one sentence each. */
export function violations(sources: Sources, dependencies: readonly string[]): string[] {
  const imports = [...sources].flatMap(([path, text]) => importsOf(path, text))
  return [
    ...imports.flatMap((one) => wrongArrow(one, sources, dependencies)),
    ...cycles(imports),
    ...[...sources.keys()].flatMap(vagueName),
    ...[...sources].flatMap(([path, text]) => [
      ...unreadableImports(path, text),
      ...handMadeKeys(path, text),
    ]),
  ]
}

/** `cache/entry.ts` belongs to `cache`, `keys.ts` to `keys`, `testing/faults/flow.ts` to `testing/faults`. */
function partOf(path: string): string {
  const [first = '', second] = path.split('/')
  const nested = `${first}/${second}`
  return nested in ARROWS ? nested : first.replace(/\.ts$/, '')
}

const STATEMENT = /^(?:import|export)\s(?:(type)\s)?(?:[^'"`;]*?\sfrom\s*)?['"]([^'"\n]+)['"]/gm

// The repository's formatter leaves imports at the start of a line; examples in comments are never there.
function importsOf(path: string, text: string): Import[] {
  const code = withoutDocs(text)
  const fixed = [...code.matchAll(STATEMENT)].map(([, type, target = '']) => ({
    from: path,
    target,
    typeOnly: type !== undefined,
  }))
  const dynamic = [...code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)].map(([, target = '']) => ({
    from: path,
    target,
    typeOnly: false,
  }))
  return [...fixed, ...dynamic]
}

const withoutDocs = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

function unreadableImports(path: string, text: string): string[] {
  return /\bimport\(\s*[^'"\s]|\brequire\(|\bcreateRequire\b/.test(withoutDocs(text))
    ? [`${path} loads something by a name that cannot be read here`]
    : []
}

function wrongArrow({ from, target }: Import, sources: Sources, dependencies: readonly string[]): string[] {
  const part = partOf(from)
  const allowed = ARROWS[part]
  if (allowed === undefined) return [`${from}: ${part} is not on the map of parts`]
  if (target.startsWith('node:')) return []
  if (!target.startsWith('.')) return foreign(from, target, dependencies)
  const path = resolved(from, target)
  if (path === undefined) return [`${from} reaches out of the package, to ${target}`]
  if (!sources.has(path)) return [`${from} imports ${target}, which is not among the sources`]
  const other = partOf(path)
  return other === part || allowed.includes(other) ? [] : [`${from} must not know ${path}`]
}

function foreign(from: string, target: string, dependencies: readonly string[]): string[] {
  const name = target.startsWith('@') ? target.split('/', 2).join('/') : (target.split('/')[0] ?? '')
  const adapter = CLIENTS[name]
  if (adapter !== undefined) return partOf(from) === adapter ? [] : [`${from} imports a peer, ${target}`]
  return dependencies.includes(name) ? [] : [`${from} imports ${target}, which is no dependency`]
}

function resolved(from: string, target: string): string | undefined {
  const parts = from.split('/').slice(0, -1)
  for (const step of target.split('/')) {
    if (step === '.') continue
    if (step !== '..') parts.push(step)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/').replace(/\.js$/, '.ts')
}

/** Files that need each other to be loaded; types alone load nothing. */
function cycles(imports: readonly Import[]): string[] {
  const edges = new Map<string, string[]>()
  for (const { from, target, typeOnly } of imports) {
    const path = typeOnly || !target.startsWith('.') ? undefined : resolved(from, target)
    if (path !== undefined) edges.set(from, [...(edges.get(from) ?? []), path])
  }
  const done = new Set<string>()
  const found: string[] = []
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push(`cycle: ${[...trail.slice(at), path].join(' → ')}`)
    if (at >= 0 || done.has(path)) return
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) walk(path, [])
  return found
}

function vagueName(path: string): string[] {
  const names = path.split('/').map((part) => part.replace(/\..*$/, ''))
  return names.filter((name) => VAGUE.test(name)).map((name) => `${path}: ${name} says nothing`)
}

/** A brace beside an interpolation or alone in quotes is a hash tag in the making; so is a cast to `Key`. */
function handMadeKeys(path: string, text: string): string[] {
  if (path === 'keys.ts') return []
  const code = withoutDocs(text)
  const brace = /\{\$\{|(['"`])[{}]\1|['"`][\w:.-]*:\{/.exec(code)?.[0]
  const cast = /\bas (?:unknown as )?Key\b/.exec(code)?.[0]
  return [
    ...(brace === undefined ? [] : [`${path} writes a brace into a key: ${brace}`]),
    ...(cast === undefined ? [] : [`${path} makes a key by itself: ${cast}`]),
  ]
}
