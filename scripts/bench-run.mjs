import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { launch, onStop, runScript } from './launch.mjs'
import { Explained, ensurePackages, root } from './packages.mjs'
import { bold, Progress } from './progress.mjs'

const folder = join(root, 'bench')
/** What is compared with ours, by benchmark: what only one of them needs is not installed for the others. */
const peers = new Map([
  ['cache', 'cache/peers'],
  ['invalidation', 'cache/peers'],
  ['lock', 'lock/peers'],
  ['ratelimit', 'ratelimit/peers'],
  ['write-behind', 'write-behind/peers'],
])

await runScript(async () => {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => basename(file, '.ts'))
  const help = `${bold('npm run bench')} -- NAME [--json] [the benchmark's own options]

Measures ours beside others, on the same servers, in one run, in turns. Results on standard output, with --json for
machines; what is being done on standard error. Installs what is missing, the compared packages included.

${names.map((name) => `  ${name}`).join('\n')}`
  const [name, ...rest] = process.argv.slice(2)
  if (name === undefined || name === '--help' || name === '-h') {
    console.log(help)
    return name === undefined ? 1 : 0
  }
  if (!names.includes(name)) {
    throw new Explained(
      `There is no benchmark ${JSON.stringify(name)}; \`npm run bench -- --help\` lists them.`,
    )
  }
  const installing = new AbortController()
  onStop(() => installing.abort())
  try {
    // Standard output belongs to the results.
    const options = { progress: new Progress(process.stderr), signal: installing.signal }
    await ensurePackages('dev', options)
    const beside = peers.get(name)
    const folders = [folder, ...(beside === undefined ? [] : [join(folder, beside)])]
    for (const one of folders) await ensurePackages('run', { ...options, folder: one })
  } catch (error) {
    if (installing.signal.aborted) return 130
    throw error
  }
  // What is measured is what is published: sources run through a loader, which costs closures a third of their speed.
  const build = join(root, 'packages/slotwise/tsconfig.build.json')
  const built = await launch([join(root, 'node_modules/typescript/bin/tsc'), '-p', build], { graceMs: 1000 })
  if (built.code !== 0 || built.stoppedBy !== undefined) return built.code || 130
  const flags = '--import tsx --import ./scripts/with-parent.mjs'.split(' ')
  const { code, stoppedBy } = await launch([...flags, join(folder, `${name}.ts`), ...rest], { graceMs: 3000 })
  return stoppedBy === undefined ? code : code || 130
})
