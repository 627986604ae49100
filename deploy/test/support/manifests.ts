import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { DEPLOY } from './compose.js'
import { isMapping, type Mapping } from './merge.js'

/** One object of Kubernetes, and the file that it stands in. */
export interface Manifest {
  readonly file: string
  readonly kind: string
  readonly apiVersion: string
  readonly name: string
  readonly body: Mapping
}

interface Kustomization {
  readonly resources?: readonly string[]
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: readonly string[] }[]
}

/** Every document of a file. */
export function documentsOf(file: string): readonly Mapping[] {
  return parseAllDocuments(readFileSync(join(DEPLOY, file), 'utf8')).map((document) => {
    const [problem] = [...document.errors, ...document.warnings]
    if (problem !== undefined) throw problem
    const value: unknown = document.toJS()
    if (!isMapping(value)) throw new Error(`${file} holds something other than a mapping`)
    return value
  })
}

/** What `kubectl apply -k` of this folder would apply, generated ConfigMaps included. */
export function kustomized(folder: string): readonly Manifest[] {
  const [root = {}] = documentsOf(join(folder, 'kustomization.yaml'))
  const { resources = [], configMapGenerator = [] } = root as Kustomization
  const generated = configMapGenerator.map(({ name, files }) =>
    manifestOf(join(folder, 'kustomization.yaml'), {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: Object.fromEntries(
        files.map((file) => [basename(file), readFileSync(join(DEPLOY, folder, file), 'utf8')]),
      ),
    }),
  )
  const named = resources.flatMap((resource) => {
    const path = join(folder, resource)
    return resource.endsWith('.yaml')
      ? documentsOf(path).map((body) => manifestOf(path, body))
      : kustomized(path)
  })
  return [...generated, ...named]
}

/** The example of a Secret, which is not among what is applied. */
export const exampleSecret = (): Manifest => {
  const file = 'kubernetes/secret.example.yaml'
  return manifestOf(file, documentsOf(file)[0] ?? {})
}

function manifestOf(file: string, body: Mapping): Manifest {
  const { kind, apiVersion, metadata } = body
  const name = isMapping(metadata) ? metadata['name'] : undefined
  if (typeof kind !== 'string' || typeof apiVersion !== 'string' || typeof name !== 'string') {
    throw new Error(`${file} holds something without kind, apiVersion or name`)
  }
  return { file: join(dirname(file), basename(file)), kind, apiVersion, name, body }
}
