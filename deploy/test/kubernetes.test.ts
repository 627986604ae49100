import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { CronJob, Job } from 'kubernetes-types/batch/v1.js'
import type { ConfigMap, PodTemplateSpec, Probe, Secret, Service } from 'kubernetes-types/core/v1.js'
import type { LabelSelector } from 'kubernetes-types/meta/v1.js'
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEPLOY, environmentOf, readCompose } from './support/compose.js'
import { documentsOf, exampleSecret, kustomized, type Manifest } from './support/manifests.js'

const run = promisify(execFile)
const ROOT = resolve(DEPLOY, '..')
const all = [...kustomized('kubernetes'), exampleSecret()]

/** By the name of their kind, what they are in types. */
interface Kinds {
  StatefulSet: StatefulSet
  Deployment: Deployment
  Job: Job
  CronJob: CronJob
  ConfigMap: ConfigMap
  Secret: Secret
  Service: Service
  NetworkPolicy: NetworkPolicy
  PodDisruptionBudget: PodDisruptionBudget
}

const every = <Kind extends keyof Kinds>(kind: Kind): readonly Kinds[Kind][] =>
  all.flatMap((one) => (one.kind === kind ? [one.body as Kinds[Kind]] : []))
const get = <Kind extends keyof Kinds>(kind: Kind, name: string): Kinds[Kind] => {
  const found = every(kind).find(({ metadata }) => metadata?.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
  return found
}

/** Everything that makes pods. */
const workloads: readonly { readonly name: string; readonly template: PodTemplateSpec }[] = [
  ...every('StatefulSet').map(({ metadata, spec }) => ({ metadata, template: spec?.template })),
  ...every('Deployment').map(({ metadata, spec }) => ({ metadata, template: spec?.template })),
  ...every('Job').map(({ metadata, spec }) => ({ metadata, template: spec?.template })),
  ...every('CronJob').map(({ metadata, spec }) => ({
    metadata,
    template: spec?.jobTemplate.spec?.template,
  })),
].map(({ metadata, template }) => ({ name: metadata?.name ?? '', template: template ?? {} }))

const selects = (
  { matchLabels = {}, matchExpressions }: LabelSelector,
  labels: Record<string, string> = {},
) =>
  matchExpressions === undefined &&
  Object.entries(matchLabels).every(([name, value]) => labels[name] === value)
const labelsOf = ({ template }: (typeof workloads)[number]) => template.metadata?.labels ?? {}
const containerOf = (name: string) => {
  const container = workloads.find((one) => one.name === name)?.template.spec?.containers[0]
  if (container === undefined) throw new Error(`${name} has no container`)
  return container
}
const mebibytes = (text = '') => Number.parseInt(text, 10) * (text.endsWith('Gi') ? 1024 : 1)

/** Complaints of the compiler about objects as literals, in which an unknown name is an error. */
async function misfits(
  manifests: readonly Pick<Manifest, 'kind' | 'apiVersion' | 'body'>[],
): Promise<string> {
  const cache = join(ROOT, 'node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'manifests-'))
  try {
    const lines = manifests.map(({ kind, apiVersion, body }, index) => {
      const group = apiVersion === 'v1' ? 'core/v1' : apiVersion.replace('.k8s.io', '')
      const types = `import('kubernetes-types/${group}').${kind}`
      return `export const one${index}: ${types} = ${JSON.stringify(body, null, 1)}`
    })
    await writeFile(join(folder, 'manifests.ts'), lines.join('\n'))
    const flags =
      '--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler --target es2022 --types'
    const tsc = join(ROOT, 'node_modules/.bin/tsc')
    return await run(tsc, [...flags.split(' '), 'node', '--ignoreConfig', join(folder, 'manifests.ts')], {
      cwd: folder,
    }).then(
      () => '',
      ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

describe('the manifests', () => {
  it('have every field that they name, in its type', async () => {
    expect(await misfits(all)).toBe('')
  })

  it('would not pass with a field that there is not', async () => {
    const set = get('StatefulSet', 'redis')
    const refused = async (spec: object) =>
      await misfits([{ kind: 'StatefulSet', apiVersion: 'apps/v1', body: { ...set, spec } }])
    expect(await refused({ ...set.spec, replica: 6 })).toMatch(/replica.* does not exist/)
    const [container] = set.spec?.template.spec?.containers ?? []
    const inner = { containers: [{ ...container, livenesProbe: {} }] }
    const template = { ...set.spec?.template, spec: { ...set.spec?.template.spec, ...inner } }
    expect(await refused({ ...set.spec, template })).toMatch(/livenesProbe.* does not exist/)
  })

  it('are each of a name of its own, and all that there is', () => {
    const names = all.map(({ kind, name }) => `${kind} ${name}`)
    expect(new Set(names).size).toBe(names.length)
    const [{ resources = [] } = {}] = documentsOf('kubernetes/kustomization.yaml') as readonly {
      resources?: string[]
    }[]
    expect(resources.toSorted()).toEqual([
      '../redis',
      'comments.yaml',
      'converge.yaml',
      'namespace.yaml',
      'network.yaml',
      'redis.yaml',
    ])
  })

  it('mount files and secrets that are there', () => {
    const secret = get('Secret', 'slotwise').stringData ?? {}
    for (const { name, template } of workloads) {
      const { volumes = [], containers = [] } = template.spec ?? {}
      const claims = name === 'redis' ? (get('StatefulSet', 'redis').spec?.volumeClaimTemplates ?? []) : []
      const known = [...volumes.map((volume) => volume.name), ...claims.map(({ metadata }) => metadata?.name)]
      for (const { volumeMounts = [], command = [], env = [] } of containers) {
        for (const mount of volumeMounts)
          expect([name, known]).toEqual([name, expect.arrayContaining([mount.name])])
        const paths = [...command, ...env.map(({ value = '' }) => value)]
        const config = get('ConfigMap', 'redis-config').data ?? {}
        for (const path of paths.filter((one) => one.startsWith('/opt/slotwise/'))) {
          expect(config).toHaveProperty([path.slice('/opt/slotwise/'.length)])
        }
      }
      for (const { configMap, secret: from } of volumes) {
        if (configMap !== undefined) get('ConfigMap', configMap.name ?? '')
        for (const { key } of from?.items ?? []) expect(secret).toHaveProperty([key])
      }
    }
  })

  it('have probes and hooks that run scripts which are there', () => {
    const { startupProbe, livenessProbe, readinessProbe, lifecycle } = containerOf('redis')
    const commandOf = (probe: Probe | undefined) => probe?.exec?.command
    expect([startupProbe, livenessProbe, readinessProbe].map(commandOf)).toEqual([
      ['sh', '/opt/slotwise/health.sh', 'live'],
      ['sh', '/opt/slotwise/health.sh', 'live'],
      ['sh', '/opt/slotwise/health.sh', 'synced'],
    ])
    expect(lifecycle?.preStop?.exec?.command).toEqual(['sh', '/opt/slotwise/hand-over.sh'])
    const { data = {} } = get('ConfigMap', 'redis-config')
    expect(Object.keys(data)).toEqual(expect.arrayContaining(['health.sh', 'hand-over.sh', 'entrypoint.sh']))
    // What a probe may take is more than what it gives itself, two questions of three seconds.
    expect(readinessProbe?.timeoutSeconds).toBeGreaterThan(6)
    expect(livenessProbe?.timeoutSeconds).toBeGreaterThan(3)
  })

  it('select pods that exist, by ports that they have', () => {
    for (const { metadata, spec } of every('Service')) {
      const chosen = workloads.filter((one) => selects({ matchLabels: spec?.selector ?? {} }, labelsOf(one)))
      expect([metadata?.name, chosen.map(({ name }) => name)]).toEqual([metadata?.name, [expect.any(String)]])
      const ports = chosen[0]?.template.spec?.containers[0]?.ports ?? []
      for (const { targetPort } of spec?.ports ?? [])
        expect(ports.map(({ name }) => name)).toContain(targetPort)
    }
    for (const { spec } of [...every('StatefulSet'), ...every('Deployment')]) {
      expect(selects(spec?.selector ?? {}, spec?.template.metadata?.labels)).toBe(true)
    }
    const { spec } = get('StatefulSet', 'redis')
    expect(get('Service', spec?.serviceName ?? '').spec?.clusterIP).toBe('None')
  })

  it('let one node or one service process at a time be taken away, and not all', () => {
    const replicas = new Map([
      ['redis', get('StatefulSet', 'redis').spec?.replicas ?? 0],
      ['comments', get('Deployment', 'comments').spec?.replicas ?? 0],
    ])
    const budgets = every('PodDisruptionBudget')
    expect(budgets).toHaveLength(2)
    for (const { spec } of budgets) {
      const [chosen] = workloads.filter((one) => selects(spec?.selector ?? {}, labelsOf(one)))
      expect(spec?.maxUnavailable).toBe(1)
      expect(replicas.get(chosen?.name ?? '')).toBeGreaterThan(1)
    }
  })

  it('keep nodes on machines and in zones apart, as far as there are as many', () => {
    const { template } = get('StatefulSet', 'redis').spec ?? {}
    const { affinity, topologySpreadConstraints = [] } = template?.spec ?? {}
    const terms = affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
    const apart = terms.map(({ podAffinityTerm }) => podAffinityTerm)
    expect(apart.map((term) => term.topologyKey)).toEqual(['kubernetes.io/hostname'])
    expect(topologySpreadConstraints.map(({ topologyKey }) => topologyKey)).toEqual([
      'kubernetes.io/hostname',
      'topology.kubernetes.io/zone',
    ])
    // Each of them counts the pods of the nodes, and no others.
    for (const rule of [...apart, ...topologySpreadConstraints]) {
      const chosen = workloads.filter((one) => selects(rule.labelSelector ?? {}, labelsOf(one)))
      expect(chosen.map(({ name }) => name)).toEqual(['redis'])
    }
  })

  it('make the cluster of all the nodes that there are', () => {
    const { spec } = get('StatefulSet', 'redis')
    const wanted = Array.from({ length: spec?.replicas ?? 0 }, (_, i) => `redis-${i}.redis-nodes:6379`)
    for (const name of ['redis-init', 'redis-converge']) {
      const nodes = containerOf(name).env?.find((one) => one.name === 'REDIS_NODES')?.value
      expect(nodes?.split(/\s+/)).toEqual(wanted)
    }
  })

  it('let clients to the nodes by their label, and nobody but nodes to the bus', () => {
    const { spec } = get('NetworkPolicy', 'redis')
    const admitted = (port: string) =>
      workloads
        .filter((one) =>
          (spec?.ingress ?? []).some(
            ({ from = [], ports = [] }) =>
              ports.some((open) => open.port === port) &&
              from.some(
                ({ podSelector }) => podSelector !== undefined && selects(podSelector, labelsOf(one)),
              ),
          ),
        )
        .map(({ name }) => name)
    expect(admitted('client').toSorted()).toEqual(['comments', 'redis', 'redis-converge', 'redis-init'])
    expect(admitted('bus')).toEqual(['redis'])
    expect(spec?.policyTypes).toEqual(['Ingress', 'Egress'])
  })

  it('run everything as nobody special, on a root that cannot be written, within limits, of exact versions', () => {
    for (const { name, template } of workloads) {
      const { securityContext, containers = [], automountServiceAccountToken } = template.spec ?? {}
      expect([name, securityContext]).toMatchObject([
        name,
        { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      ])
      expect(automountServiceAccountToken).toBe(false)
      for (const container of containers) {
        expect([name, container.securityContext]).toEqual([
          name,
          { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        ])
        expect(container.image).toMatch(/:\d+\.\d+\.\d+(?:-\w+)?$/)
        expect(container.resources?.limits).toHaveProperty('memory')
        expect(container.resources?.requests).toHaveProperty('cpu')
      }
    }
  })

  it('leave a node twice its maxmemory, and the time to hand over and to end', () => {
    const { resources, env = [] } = containerOf('redis')
    const maxmemory = env.find(({ name }) => name === 'NODE_MAXMEMORY')?.value
    expect(mebibytes(resources?.limits?.['memory'])).toBeGreaterThanOrEqual(
      2 * Number.parseInt(maxmemory ?? '', 10),
    )
    const { template } = workloads.find(({ name }) => name === 'redis') ?? {}
    // Twenty seconds for the one and ten for the other.
    expect(template?.spec?.terminationGracePeriodSeconds).toBeGreaterThan(30)
  })

  it('tell nodes and service the same as the Compose file does', () => {
    const { services } = readCompose()
    const compare = (name: string, service: string, different: readonly string[]) => {
      const told = Object.fromEntries((containerOf(name).env ?? []).map((one) => [one.name, one.value]))
      const composed = environmentOf(services[service] ?? expect.fail())
      const shared = Object.keys(composed).filter((one) => !different.includes(one))
      expect(Object.fromEntries(shared.map((one) => [one, told[one]]))).toEqual(
        Object.fromEntries(shared.map((one) => [one, composed[one]])),
      )
    }
    compare('redis', 'redis-1', ['NODE_PORT', 'NODE_IP', 'NODE_HOSTNAME', 'REDIS_SECRETS'])
    compare('redis-init', 'cluster-init', [
      'REDIS_NODES',
      'REDIS_OPS_PASSWORD_FILE',
      'FAIL_ON',
      'WAIT_SECONDS',
    ])
    compare('comments', 'comments', [
      'REDIS_NODES',
      'REDIS_PASSWORD_FILE',
      'DATABASE_PASSWORD_FILE',
      'NAMESPACE',
      'DEMO',
    ])
  })
})

describe('what a pod is told', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slotwise-pod-'))
    await run('sh', [join(DEPLOY, 'make-secrets.sh'), join(folder, 'secrets')])
    await writeFile(join(folder, 'redis-server'), '#!/bin/sh\ncat "$1"\n', { mode: 0o755 })
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('is what its configuration says: its name for clients, its address for the other nodes', async () => {
    const given: Record<string, string> = { PATH: `${folder}:${process.env['PATH']}` }
    const fields: Record<string, string> = {
      'metadata.name': 'redis-3',
      'metadata.namespace': 'slotwise',
      'status.podIP': '10.1.2.3',
    }
    for (const { name, value, valueFrom } of containerOf('redis').env ?? []) {
      const text = value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ''] ?? ''
      given[name] = text.replace(/\$\((\w+)\)/g, (_, other: string) => given[other] ?? expect.fail(other))
    }
    const places = {
      REDIS_CONFIG: join(DEPLOY, 'redis'),
      REDIS_RUN: join(folder, 'run'),
      REDIS_SECRETS: join(folder, 'secrets'),
    }
    const { stdout } = await run('sh', [join(DEPLOY, 'redis/entrypoint.sh')], {
      env: { ...given, ...places },
    })
    expect(stdout).toContain('\ncluster-announce-ip 10.1.2.3\n')
    expect(stdout).toContain('\ncluster-announce-hostname redis-3.redis-nodes.slotwise.svc.cluster.local\n')
    expect(stdout).toContain('\ncluster-port 16379\n')
    expect(stdout).toContain('\nbind * -::*\n')
  })
})
