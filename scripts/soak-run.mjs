import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { runScript } from './launch.mjs'
import { Explained, root } from './packages.mjs'
import { bold } from './progress.mjs'
import { vitest } from './vitest.mjs'

const HOUR_MS = 3_600_000

/** Every test file whose counts are cut down in `npm test`: it asks `budget.ts`, or for SLOTWISE_SOAK itself. */
function soakable() {
  const folders = ['packages', 'apps', 'scripts', 'test'].filter((folder) => existsSync(join(root, folder)))
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  )
  return files
    .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'))
    .filter((file) => /support\/budget\.js|SLOTWISE_SOAK/.test(readFileSync(join(root, file), 'utf8')))
    .toSorted()
}

const nameOf = (/** @type {string} */ file) => basename(file, '.test.ts')

const args = process.argv.slice(2)
await runScript(async () => {
  const files = soakable()
  const help = `${bold('npm run soak')} -- NAME [vitest's options]

Runs tests with their full counts, which \`npm test\` cuts down. May take long.

  NAME     a test below, a part of its path, or all
  clients  the suites and the faults of the port, over the oldest ioredis and node-redis that it is for

${files.map((file) => `  ${nameOf(file).padEnd(24)} ${file}`).join('\n')}`
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h') {
    console.log(help)
    return name === undefined ? 1 : 0
  }
  const full = { SLOTWISE_SOAK: '1' }
  const patience = [`--testTimeout=${HOUR_MS}`, `--hookTimeout=${HOUR_MS}`, ...rest]
  if (name === 'clients')
    return vitest(['--project', 'clients', ...patience], { ...full, SLOTWISE_OLD_CLIENTS: 'all' })
  const exact = files.filter((file) => nameOf(file) === name)
  const chosen =
    name === 'all' ? files : exact.length > 0 ? exact : files.filter((file) => file.includes(name))
  if (chosen.length === 0) {
    throw new Explained(
      `There is no soak named ${JSON.stringify(name)}; \`npm run soak -- --help\` lists them.`,
    )
  }
  return vitest(['--project', '!clients', ...chosen, ...patience], full)
})
