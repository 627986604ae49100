import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { DEPLOY, environmentOf } from './compose.js'
import type { Compose, Service } from './compose-model.js'

/** A service of a Compose file as a plain process would see it: its folders are ours, its addresses this machine's. */
export interface Container {
  readonly argv: readonly string[]
  readonly health: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Where a path of the container is. */
  readonly at: (path: string) => string
  /** Where it listens. */
  readonly host: string
}

export interface ContainerOptions {
  readonly folder: string
  /** Of volumes, which containers share and which stay. */
  readonly volumes: string
  /** Where services are reached by name, and what becomes of their addresses. */
  readonly hosts: ReadonlyMap<string, string>
  readonly tools: Readonly<Record<string, string>>
}

/** Lays out what the service mounts, and translates what it is told. */
export async function layOut(
  { secrets, configs }: Compose,
  name: string,
  service: Service,
  { folder, volumes, hosts, tools }: ContainerOptions,
): Promise<Container> {
  const root = join(folder, name)
  const mounts = new Map<string, string>()
  const inside = (path: string) => join(root, path)
  for (const path of service.tmpfs ?? []) mounts.set(bare(path), inside(bare(path)))
  for (const volume of service.volumes ?? []) {
    const [source = '', target = ''] = volume.split(':')
    mounts.set(target, join(volumes, source))
  }
  // What is not there is not handed out: a service that names no secret sees none.
  for (const path of mounts.values()) await mkdir(path, { recursive: true, mode: 0o700 })
  for (const secret of service.secrets ?? []) {
    const target = `/run/secrets/${secret}`
    await put(inside(target), { file: secrets[secret]?.file ?? '' })
    mounts.set('/run/secrets', inside('/run/secrets'))
  }
  for (const { source, target } of service.configs ?? []) {
    const config = configs[source] ?? { file: '' }
    // A program finds its packages from where it lies, which here is the repository.
    if (target.startsWith('/app/') && 'file' in config) mounts.set(target, resolve(DEPLOY, config.file))
    else {
      await put(inside(target), config)
      mounts.set(dirname(target), inside(dirname(target)))
    }
  }
  const host = hosts.get(name) ?? '127.0.0.1'
  const at = (path: string) => {
    const mount = [...mounts.keys()]
      .filter((one) => path === one || path.startsWith(`${one}/`))
      .toSorted((a, b) => b.length - a.length)[0]
    return mount === undefined ? path : (mounts.get(mount) ?? '') + path.slice(mount.length)
  }
  const translated = (text: string) => {
    const placed = [...hosts].reduce(
      (result, [from, to]) => result.replaceAll(new RegExp(`(?<![\\w.-])${from}(?![\\w.-])`, 'g'), to),
      text,
    )
    return placed.replace(/\/(?:[\w.-]+\/)*[\w.-]+/g, at)
  }
  const environment = Object.fromEntries(
    Object.entries(environmentOf(service)).map(([key, value]) => [key, translated(value)]),
  )
  return {
    argv: [...(service.entrypoint ?? []), ...(service.command ?? [])].map(translated),
    health: (service.healthcheck?.test.slice(1) ?? []).map(translated),
    environment: { ...tools, ...environment, ...listening(environment, host) },
    at,
    host,
  }
}

/**
 * A node listens on its own address of this machine, and on one that no machine has: the doctor then judges it as one
 * that others can reach, and nobody can.
 */
function listening(
  environment: Readonly<Record<string, string>>,
  host: string,
): Readonly<Record<string, string>> {
  if (environment['NODE_PORT'] === undefined) return { SLOTWISE: 'slotwise' }
  // In the network of the host the file says it.
  if (environment['NODE_BIND'] !== undefined) return {}
  return { NODE_BIND: `${host} -192.0.2.1`, NODE_PROBE_HOST: host }
}

const bare = (path: string): string => path.split(':')[0] ?? path

async function put(
  path: string,
  from: { readonly file: string } | { readonly content: string },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  if ('content' in from) await writeFile(path, from.content)
  else await copyFile(resolve(DEPLOY, from.file), path)
}
