import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { parseDocument } from 'yaml'
import { type Compose, composeModel, type Service } from './compose-model.js'
import { interpolated } from './interpolate.js'
import { isMapping, type Mapping, merged, Tagged } from './merge.js'

/** The folder of what is deployed. */
export const DEPLOY = fileURLToPath(new URL('../..', import.meta.url))

export interface ReadOptions {
  /** Override files, in their order. */
  readonly over?: readonly string[]
  readonly profiles?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** compose.yaml and what lies over it, as `docker compose config` would show it for these profiles. */
export function readCompose({ over = [], profiles = [], environment = {} }: ReadOptions = {}): Compose {
  const files = ['compose.yaml', ...over].map((name) => interpolated(parsed(name), environment))
  const whole = files.reduce((below, above) => merged(below, above)) as Mapping
  const plain = Object.fromEntries(Object.entries(whole).filter(([name]) => !name.startsWith('x-')))
  const all = composeModel.parse(plain)
  const active = Object.entries(all.services).filter(
    ([, service]) => service.profiles?.some((one) => profiles.includes(one)) ?? true,
  )
  return { ...all, services: Object.fromEntries(active) }
}

/** What `--env-file` takes. */
export function readEnvironment(name: string): Readonly<Record<string, string>> {
  const all = parseEnv(readFileSync(`${DEPLOY}/${name}`, 'utf8'))
  return Object.fromEntries(Object.entries(all).flatMap(([key, value]) => (value ? [[key, value]] : [])))
}

/** A file as it stands, with its anchors and merge keys resolved. */
export function parsed(name: string): Mapping {
  const text = readFileSync(`${DEPLOY}/${name}`, 'utf8')
  const tag = (kind: Tagged['tag'], collection: 'map' | 'seq') => ({
    tag: `!${kind}`,
    collection,
    resolve: (node: { toJSON(): unknown }) => new Tagged(kind, node.toJSON()),
  })
  const document = parseDocument(text, {
    merge: true,
    customTags: [tag('reset', 'map'), tag('reset', 'seq'), tag('override', 'map'), tag('override', 'seq')],
  })
  const [problem] = [...document.errors, ...document.warnings]
  if (problem !== undefined) throw problem
  const value: unknown = document.toJS()
  if (!isMapping(value)) throw new Error(`${name} holds no mapping`)
  return value
}

/** What the service is given from outside, as text. */
export const environmentOf = (service: Service): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(service.environment ?? {}).map(([name, value]) => [name, String(value)]))
