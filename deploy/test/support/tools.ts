import { existsSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onPath } from '../../../packages/slotwise/src/local/advice.js'
import { findServer } from '../../../packages/slotwise/src/local/find.js'

/** The command that makes and examines clusters, as a deployment calls it. */
const SLOTWISE = fileURLToPath(new URL('../../../packages/cli/src/main.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A folder of the programs that an image holds, and the environment in which they run. */
export async function layTools(folder: string): Promise<Readonly<Record<string, string>>> {
  const found = await findServer()
  const beside = ['redis-cli', 'valkey-cli'].map((name) => join(dirname(found.path), name))
  const client = [...beside, ...onPath(['redis-cli', 'valkey-cli'])].find((path) => existsSync(path))
  if (client === undefined) throw new Error(`there is no redis-cli, neither beside ${found.path} nor on PATH`)
  await mkdir(folder, { recursive: true })
  await symlink(found.path, join(folder, 'redis-server'))
  await symlink(client, join(folder, 'redis-cli'))
  await symlink(process.execPath, join(folder, 'node'))
  const node = `exec node --conditions=slotwise-source --import "${ROOT}node_modules/tsx/dist/esm/index.mjs"`
  await writeFile(join(folder, 'slotwise'), `#!/bin/sh\n${node} "${SLOTWISE}" "$@"\n`, { mode: 0o755 })
  return {
    ...found.env,
    PATH: [folder, process.env['PATH']].join(delimiter),
    // A locale that this machine lacks ends newer servers.
    LC_ALL: 'C',
    NODE_OPTIONS: '--conditions=slotwise-source --import tsx',
  }
}
