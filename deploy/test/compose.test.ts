import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import {
  DEPLOY,
  environmentOf,
  parsed,
  type ReadOptions,
  readCompose,
  readEnvironment,
} from './support/compose.js'
import type { Compose } from './support/compose-model.js'
import { isMapping } from './support/merge.js'

const run = promisify(execFile)

/** What of Prometheus' configuration there is here; a name that is not known is an error. */
const prometheusConfig = z.strictObject({
  global: z.strictObject({ scrape_interval: z.string() }),
  scrape_configs: z.array(
    z.strictObject({
      job_name: z.string(),
      metrics_path: z.string().optional(),
      static_configs: z.array(z.strictObject({ targets: z.array(z.string()) })),
      relabel_configs: z
        .array(
          z.strictObject({
            source_labels: z.array(z.string()).optional(),
            regex: z.string().optional(),
            target_label: z.string(),
            replacement: z.string().optional(),
          }),
        )
        .optional(),
    }),
  ),
})

const ALL = { profiles: ['cache', 'durable', 'observability'] }
const FORMS: readonly (readonly [string, ReadOptions])[] = [
  ['plain', {}],
  ['with every profile', ALL],
  ['durable', { profiles: ['durable'], environment: readEnvironment('durable.env') }],
  ['with TLS', { ...ALL, over: ['compose.tls.yaml'] }],
  ['in the network of the host', { ...ALL, over: ['compose.hostnet.yaml'] }],
  ['in the network of the host with TLS', { ...ALL, over: ['compose.tls.yaml', 'compose.hostnet.yaml'] }],
]

const nodesOf = ({ services }: Compose) =>
  Object.entries(services).filter(([, { environment }]) => environment?.['NODE_PORT'] !== undefined)
const bytesOf = (text: string) =>
  Number.parseInt(text, 10) *
  ({ b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[text.replace(/[\db]/g, '') || 'b'] ?? 0)

describe.each(FORMS)('the deployment %s', (form, options) => {
  const compose = readCompose(options)
  const services = Object.entries(compose.services)
  const nodes = nodesOf(compose)

  it('names nothing that it does not define', () => {
    for (const [name, service] of services) {
      for (const secret of service.secrets ?? [])
        expect([name, compose.secrets]).toHaveProperty(`1.${secret}`)
      for (const { source } of service.configs ?? [])
        expect([name, compose.configs]).toHaveProperty(`1.${source}`)
      const networks = Array.isArray(service.networks)
        ? service.networks
        : Object.keys(service.networks ?? {})
      for (const network of networks) expect([name, compose.networks]).toHaveProperty(`1.${network}`)
      for (const volume of service.volumes ?? []) {
        expect([name, compose.volumes]).toHaveProperty(`1.${volume.split(':')[0]}`)
      }
      for (const [other, { required }] of Object.entries(service.depends_on ?? {})) {
        if (required !== false) expect([name, compose.services]).toHaveProperty(`1.${other}`)
      }
    }
    for (const config of Object.values(compose.configs)) {
      if ('file' in config) expect(existsSync(resolve(DEPLOY, config.file))).toBe(true)
    }
  })

  it('has images of an exact version, names that two projects can share, and limits', () => {
    for (const [name, service] of services) {
      expect([name, service.image]).toEqual([
        name,
        expect.stringMatching(/^[\w./-]+:v?\d+\.\d+(?:\.\d+)?(?:-[\w.]+)?$/),
      ])
      expect(service).not.toHaveProperty('container_name')
      expect([name, service.cap_drop, service.security_opt]).toEqual([
        name,
        ['ALL'],
        ['no-new-privileges:true'],
      ])
      expect(bytesOf(service.mem_limit)).toBeGreaterThan(0)
    }
  })

  it('shows nothing beyond this machine, and no bus port at all', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? [])
    const clients = nodes.map(([, { environment }]) => Number(environment?.['NODE_PORT']))
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    const shown = ports.map((port) => Number(port.split(':')[1]))
    for (const port of clients) expect(shown).not.toContain(port + 10_000)
    expect(new Set(shown).size).toBe(shown.length)
  })

  it('has nodes that differ in their place alone', () => {
    const shape = (kind: string) =>
      nodes
        .filter(([name]) => name.startsWith(kind))
        .map(([name, service]) => {
          const { NODE_PORT, NODE_IP, NODE_HOSTNAME, ...environment } = service.environment ?? {}
          const { networks, ports, volumes, profiles, ...rest } = service
          expect([name, NODE_PORT, NODE_IP, NODE_HOSTNAME]).not.toContain(undefined)
          if (networks !== undefined) expect(Object.values(networks)).toEqual([{ ipv4_address: NODE_IP }])
          if (ports !== undefined) expect(ports).toEqual([`127.0.0.1:${NODE_PORT}:${NODE_PORT}`])
          expect(volumes?.[0]).toBe(`${name}:/data`)
          expect(profiles ?? []).toEqual(
            /^redis-[789]$/.test(name) ? ['durable'] : kind === 'cache-' ? ['cache'] : [],
          )
          return JSON.stringify({ ...rest, environment })
        })
    for (const kind of ['redis-', 'cache-']) expect(new Set(shape(kind)).size).toBeLessThanOrEqual(1)
  })

  it('gives each node twice its maxmemory, a grace to end in, and restarts it', () => {
    for (const [, service] of nodes) {
      const maxmemory = bytesOf(String(service.environment?.['NODE_MAXMEMORY']).replace('mb', 'm'))
      expect(bytesOf(service.mem_limit)).toBeGreaterThanOrEqual(2 * maxmemory)
      expect(service).toMatchObject({
        restart: 'unless-stopped',
        stop_grace_period: '30s',
        ulimits: { nofile: { soft: 65_536 } },
        read_only: true,
      })
      expect(service.tmpfs).toContain('/run/redis:mode=0700,size=1m')
    }
  })

  it('starts the service only behind a cluster that is made and a database that answers', () => {
    expect(compose.services['comments']?.depends_on).toEqual({
      'cluster-init': { condition: 'service_completed_successfully' },
      postgres: { condition: 'service_healthy' },
    })
    const init = compose.services['cluster-init']
    const waited = Object.entries(init?.depends_on ?? {}).filter(([name]) => name in compose.services)
    expect(waited.every(([, { condition }]) => condition === 'service_healthy')).toBe(true)
    expect(waited.map(([name]) => name)).toEqual(
      nodes.map(([name]) => name).filter((name) => name.startsWith('redis-')),
    )
    // Members are named in full, whatever their number.
    if (form === 'plain' || form === 'durable') {
      const { REDIS_NODES: text = '' } = init === undefined ? {} : environmentOf(init)
      const named = text.trim().split(/\s+/)
      expect(named).toEqual(
        waited.map(([name]) => `${name}:${compose.services[name]?.environment?.['NODE_PORT']}`),
      )
    }
  })

  it('gives secrets as files, and each service those that it needs', () => {
    const text = JSON.stringify(compose.services)
    expect(text).not.toMatch(/"[A-Z_]*PASSWORD":/)
    expect(text).not.toMatch(/:\/\/[^/"@]*:[^/"@]*@/)
    const secretsOf = (name: string) => compose.services[name]?.secrets
    expect(secretsOf('comments')).toEqual(['redis_app', 'postgres'])
    expect(secretsOf('cluster-init')).toEqual(['redis_ops'])
    expect(secretsOf('postgres')).toEqual(['postgres'])
  })
})

describe('the files of the deployment', () => {
  it.each(['compose.yaml', 'compose.tls.yaml', 'compose.hostnet.yaml'])('%s declares no version', (name) => {
    expect(parsed(name)).not.toHaveProperty('version')
  })

  it('keep two projects apart by a name, a network and two runs of ports', () => {
    const other = readCompose({
      ...ALL,
      environment: {
        COMPOSE_PROJECT_NAME: 'two',
        REDIS_PORTS: '800',
        CACHE_PORTS: '810',
        SUBNET: '10.9.8',
        COMMENTS_PORT: '9080',
        PROMETHEUS_PORT: '9091',
      },
    })
    const one = readCompose(ALL)
    const shown = (compose: Compose) => Object.values(compose.services).flatMap(({ ports = [] }) => ports)
    expect(shown(one).filter((port) => shown(other).includes(port))).toEqual([])
    const text = JSON.stringify(other.services)
    expect(text).not.toMatch(/172\.30|\b70\d\d\b|\b71\d\d\b/)
    expect(other.name).toBe('two')
  })

  it('refuse a name that Compose does not know, a blank without a value, and a stray dollar sign', async () => {
    const { composeModel } = await import('./support/compose-model.js')
    const { interpolated } = await import('./support/interpolate.js')
    const whole = readCompose()
    const node = whole.services['redis-1']
    expect(() => composeModel.parse({ ...whole, services: { a: { ...node, helthcheck: {} } } })).toThrow(
      /helthcheck/,
    )
    expect(() => interpolated({ a: ['${NOWHERE}'] }, {})).toThrow(/NOWHERE is not set/)
    expect(() => interpolated('costs $5', {})).toThrow(/dollar sign/)
    expect(interpolated('$$1 ${A:-b} ${C}', { C: 'd' })).toBe('$1 b d')
  })

  describe.each([
    ['between containers', []],
    ['in the network of the host', ['compose.hostnet.yaml']],
  ])('have a Prometheus that asks, %s,', (_, over) => {
    const compose = readCompose({
      ...ALL,
      over,
      environment: { REDIS_PORTS: '800', COMMENTS_PORT: '9080', REDIS_SCHEME: 'rediss' },
    })
    const config = compose.configs['prometheus']
    const { scrape_configs: jobs } = prometheusConfig.parse(
      parse(config !== undefined && 'content' in config ? config.content : ''),
    )
    const targetsOf = (name: string) =>
      jobs
        .filter(({ job_name: job }) => job === name)
        .flatMap(({ static_configs: lists }) => lists.flatMap(({ targets }) => targets))
    const isOnHost = over.length > 0
    const host = (name: string) => (isOnHost ? '127.0.0.1' : name)

    it('each node as a target of its own, through the exporter', () => {
      const nodes = nodesOf(compose).filter(([name]) => /^redis-[1-6]$/.test(name))
      expect(targetsOf('redis')).toEqual(
        nodes.map(([name, { environment }]) => `${host(name)}:${environment?.['NODE_PORT']}`),
      )
      const replacements = jobs.flatMap(({ relabel_configs: rules = [] }) =>
        rules.map(({ replacement }) => replacement),
      )
      expect(replacements).toEqual(['rediss://$1', undefined, `${host('redis-exporter')}:9121`])
      expect(targetsOf('redis-exporter')).toEqual([`${host('redis-exporter')}:9121`])
    })

    it('the service, where it listens and at the path that it has', () => {
      expect(targetsOf('comments')).toEqual([`${host('comments')}:${isOnHost ? 9080 : 8080}`])
      const job = jobs.find(({ job_name: name }) => name === 'comments')
      expect(job?.metrics_path ?? '/metrics').toBe('/metrics')
      const service = compose.services['comments']
      if (isOnHost) expect(service?.environment?.['PORT']).toBe('9080')
      else expect(service?.ports).toEqual(['127.0.0.1:9080:8080'])
    })

    it('nobody that it cannot reach', () => {
      const networks = (name: string) => {
        const given = compose.services[name]?.networks
        return Array.isArray(given) ? given : Object.keys(given ?? {})
      }
      const names = isOnHost ? [] : ['comments', 'redis-exporter']
      for (const name of names) {
        expect([name, networks(name)]).toEqual([
          name,
          expect.arrayContaining([networks('prometheus')[0] ?? expect.fail()]),
        ])
      }
    })
  })

  it('are the only ones that the image needs to leave out', () => {
    const ignored = readFileSync(resolve(DEPLOY, '../.dockerignore'), 'utf8').split('\n')
    expect(ignored).toEqual(expect.arrayContaining(['deploy', '**/node_modules', '.git']))
  })

  it('make secrets once, that only their owner reaches, each another one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slotwise-secrets-'))
    try {
      const make = () => run('sh', [join(DEPLOY, 'make-secrets.sh'), join(folder, 'here')])
      await make()
      const names = await readdir(join(folder, 'here'))
      expect(names.toSorted()).toEqual(['postgres', 'redis_app', 'redis_monitor', 'redis_ops', 'redis_repl'])
      const read = () => Promise.all(names.map((name) => readFile(join(folder, 'here', name), 'utf8')))
      const before = await read()
      expect(new Set(before).size).toBe(5)
      expect(before.every((secret) => /^[0-9a-f]{64}$/.test(secret))).toBe(true)
      expect(((await stat(join(folder, 'here'))).mode & 0o777).toString(8)).toBe('700')
      await make()
      expect(await read()).toEqual(before)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('hold in every override only services that exist', () => {
    const known = Object.keys(readCompose(ALL).services)
    for (const name of ['compose.tls.yaml', 'compose.hostnet.yaml']) {
      const { services } = parsed(name)
      const names = isMapping(services) ? Object.keys(services) : []
      expect(names.filter((one) => !known.includes(one))).toEqual(
        name === 'compose.tls.yaml' ? ['certificates'] : [],
      )
    }
  })
})
