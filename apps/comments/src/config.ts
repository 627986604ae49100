import { readFileSync } from 'node:fs'
import { z } from 'zod'

const list = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((node) => node.trim())
      .filter((node) => node !== ''),
  )
  .pipe(z.array(z.string().regex(/^.+:\d{1,5}$/, 'must be host:port,host:port')).min(1))

/** How many proxies there are, or which. */
const proxies = z.union(
  [
    z.coerce.number().int().min(1).max(32),
    z
      .string()
      .transform((text) => text.split(',').map((network) => network.trim()))
      .pipe(z.array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])).min(1)),
  ],
  'must be how many there are, or their addresses and networks',
)

/** A time of UTC, or never. */
const nightly = z
  .string()
  .regex(/^(?:off|(?:[01]\d|2[0-3]):[0-5]\d)$/, 'must be HH:MM, by UTC, or off')
  .transform((text) => {
    const [hour = 0, minute = 0] = text.split(':').map(Number)
    return text === 'off' ? undefined : { hour, minute }
  })

const flag = z
  .enum(['0', '1'])
  .default('0')
  .transform((word) => word === '1')

const environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  HOST: z.string().min(1).default('127.0.0.1'),
  DATABASE_URL: z.string().regex(/^postgres(?:ql)?:\/\//, 'must begin with postgres://'),
  DATABASE_PASSWORD_FILE: z.string().min(1).optional(),
  REDIS_NODES: list,
  REDIS_USERNAME: z.string().min(1).optional(),
  REDIS_PASSWORD: z.string().min(1).optional(),
  REDIS_PASSWORD_FILE: z.string().min(1).optional(),
  REDIS_TLS_CA_FILE: z.string().min(1).optional(),
  REDIS_NODE_TIMEOUT_MS: z.coerce.number().int().positive().optional(),
  NAMESPACE: z
    .string()
    .regex(/^[\w.-]{0,64}$/)
    .default('comments'),
  TRUSTED_PROXIES: proxies.optional(),
  EVICTION_CHECK: z.enum(['refuse', 'warn', 'off']).default('refuse'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  RECOUNT_AT: nightly.default({ hour: 3, minute: 0 }),
  DEMO: flag,
  CACHE: z
    .enum(['on', 'off'])
    .default('on')
    .transform((word) => word === 'on'),
})

/** What the service has to know. */
export interface Config {
  /** `0` for any that is free. */
  readonly port: number
  readonly host: string
  readonly databaseUrl: string
  readonly redisNodes: readonly string[]
  readonly redisUsername?: string | undefined
  readonly redisPassword?: string | undefined
  /** The authority, in PEM, that signed the servers' certificates; with it all connections to Redis are TLS. */
  readonly redisCa?: string | undefined
  /** For a user who may not ask the servers, which is as it should be: `CONFIG GET` tells passwords too. */
  readonly redisNodeTimeoutMs?: number | undefined
  /** What to do about servers that may evict what waits to be written; `off` for a user who may not ask them. */
  readonly evictionCheck: 'refuse' | 'warn' | 'off'
  /** How many proxies a request has passed, or the addresses and networks of those whose word is taken about a client's address. */
  readonly trustedProxies?: number | readonly string[] | undefined
  /** First part of every key in Redis. */
  readonly namespace: string
  readonly logLevel: string
  /** When likes are counted again every night, by UTC; `undefined` for never. */
  readonly recountAt?: { readonly hour: number; readonly minute: number } | undefined
  /** Gives everybody who asks an API key of every tenant. */
  readonly demo: boolean
  /** `false` reads from Postgres only: for measuring what the cache is worth. */
  readonly cache: boolean
}

/** The environment says something that is not possible. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * What stands in a file, by `…_FILE`, wins over what stands in the variable itself.
 *
 * @throws ConfigError that names every variable that is wrong, but quotes no value: some are secrets.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  // Compose hands on what is not set as nothing.
  const { data, error } = environment.safeParse(
    Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')),
  )
  if (error !== undefined) {
    const wrong = error.issues.map(({ path, message }) => `${path[0]?.toString() ?? ''}: ${message}`)
    throw new ConfigError(`the environment is not right: ${wrong.join('; ')}`)
  }
  return {
    port: data.PORT,
    host: data.HOST,
    databaseUrl: withPassword(data.DATABASE_URL, contentOf('DATABASE_PASSWORD_FILE', data)),
    redisNodes: data.REDIS_NODES,
    redisUsername: data.REDIS_USERNAME,
    redisPassword: contentOf('REDIS_PASSWORD_FILE', data) ?? data.REDIS_PASSWORD,
    redisCa: contentOf('REDIS_TLS_CA_FILE', data),
    redisNodeTimeoutMs: data.REDIS_NODE_TIMEOUT_MS,
    evictionCheck: data.EVICTION_CHECK,
    recountAt: data.RECOUNT_AT,
    trustedProxies: data.TRUSTED_PROXIES,
    namespace: data.NAMESPACE,
    logLevel: data.LOG_LEVEL,
    demo: data.DEMO,
    cache: data.CACHE,
  }
}

function contentOf<Name extends string>(
  name: Name,
  data: { readonly [Key in Name]?: string | undefined },
): string | undefined {
  const file = data[name]
  if (file === undefined) return undefined
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new ConfigError(`the environment is not right: ${name}: ${file} cannot be read (${code})`)
  }
  if (text !== '') return text
  throw new ConfigError(`the environment is not right: ${name}: ${file} is empty`)
}

function withPassword(url: string, password: string | undefined): string {
  if (password === undefined) return url
  const parsed = new URL(url)
  parsed.password = encodeURIComponent(password)
  return parsed.href
}
