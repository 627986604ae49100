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

const flag = z
  .enum(['0', '1'])
  .default('0')
  .transform((word) => word === '1')

const environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  HOST: z.string().min(1).default('127.0.0.1'),
  DATABASE_URL: z.string().regex(/^postgres(?:ql)?:\/\//, 'must begin with postgres://'),
  REDIS_NODES: list,
  REDIS_PASSWORD: z.string().min(1).optional(),
  NAMESPACE: z
    .string()
    .regex(/^[\w.-]{0,64}$/)
    .default('comments'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
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
  readonly redisPassword?: string | undefined
  /** First part of every key in Redis. */
  readonly namespace: string
  readonly logLevel: string
  /** Gives everybody who asks an API key of every tenant. */
  readonly demo: boolean
  /** `false` reads from Postgres only: for measuring what the cache is worth. */
  readonly cache: boolean
}

/** The environment says something that is not possible. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** @throws ConfigError that names every variable that is wrong, but quotes no value: some are secrets. */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const { data, error } = environment.safeParse(env)
  if (error !== undefined) {
    const wrong = error.issues.map(({ path, message }) => `${path[0]?.toString() ?? ''}: ${message}`)
    throw new ConfigError(`the environment is not right: ${wrong.join('; ')}`)
  }
  return {
    port: data.PORT,
    host: data.HOST,
    databaseUrl: data.DATABASE_URL,
    redisNodes: data.REDIS_NODES,
    redisPassword: data.REDIS_PASSWORD,
    namespace: data.NAMESPACE,
    logLevel: data.LOG_LEVEL,
    demo: data.DEMO,
    cache: data.CACHE,
  }
}
