import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { PACKAGES, pack } from '../../../../scripts/pack.js'
import { startLocalCluster } from '../../../slotwise/src/local/index.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The command as it is installed: the file that `bin` names. */
    slotwiseCommand: string
    /** `host:port` of every node of the cluster that all tests share and leave alone. */
    cliNodes: readonly string[]
    cliPassword: string
    /** Holds that password. */
    cliPasswordFile: string
  }
}

const repository = fileURLToPath(new URL('../../../../', import.meta.url))

/** The packed command, installed beside the packed library, and a cluster with a user and no default one. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = mkdtempSync(join(tmpdir(), 'slotwise cli '))
  const password = `secret-${crypto.randomUUID()}`
  const passwordFile = join(root, 'ops.secret')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  const starting = startLocalCluster({ username: 'ops', password })
  // Whatever the packing comes to, the servers are ended by its handler.
  starting.catch(() => {})
  const modules = join(root, 'node_modules')
  for (const name of PACKAGES) {
    const folder = join(modules, name === 'cli' ? '@slotwise/cli' : name)
    mkdirSync(folder, { recursive: true })
    const { tarball } = pack(name, join(root, 'packed'))
    execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', folder])
  }
  for (const name of ['commander', 'ioredis', 'lru-cache', 'zod']) {
    const nearest = join(repository, 'packages/cli/node_modules', name)
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(existsSync(nearest) ? nearest : join(repository, 'node_modules', name), join(modules, name))
  }
  const cluster = await starting
  project.provide('slotwiseCommand', join(modules, '@slotwise/cli/dist/main.js'))
  project.provide('cliNodes', cluster.connectOptions.nodes)
  project.provide('cliPassword', password)
  project.provide('cliPasswordFile', passwordFile)
  return async () => {
    await cluster.stop()
    rmSync(root, { recursive: true, force: true })
  }
}
