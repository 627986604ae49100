import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { ScriptSource } from '../../src/redis/script.js'
import { WireClient } from '../../src/redis/wire.js'

const sources = fileURLToPath(new URL('../../src', import.meta.url))
const modules = readdirSync(sources, { withFileTypes: true, recursive: true })
  .filter(
    ({ name, parentPath }) => name.endsWith('.lua.ts') && !parentPath.startsWith(join(sources, 'testing')),
  )
  .map(({ parentPath, name }) => join(parentPath, name))

describe('every script', () => {
  let server: WireClient
  beforeAll(async () => {
    const [node = ''] = inject('clusterNodes')
    const [host = '', port = ''] = node.split(':')
    server = await WireClient.connect({ host, port: Number(port), timeoutMs: 5_000 })
  })
  afterAll(() => server.close())

  it('is found', () => {
    expect(modules.length).toBeGreaterThan(0)
  })

  it.each(modules.map((path) => [relative(sources, path), path]))(
    '%s compiles on a server, under the very name by which it is called',
    async (_, path) => {
      const { default: script } = (await import(pathToFileURL(path).href)) as {
        readonly default: ScriptSource
      }
      expect(String(await server.call(['SCRIPT', 'LOAD', script.source]))).toBe(script.sha1)
    },
  )
})
