import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { launch, onStop, runScript } from './launch.mjs'
import { Explained, ensurePackages, root } from './packages.mjs'
import { bold, dim, Progress, seconds } from './progress.mjs'

const folder = join(root, 'conformance')
const NAMES = ['keyv', 'bentocache', 'unstorage', 'cache-manager', 'next']
/** Run when they are asked for. */
const MORE = ['next-15']

const HELP = `${bold('npm run conformance')} -- [NAME...] [--theirs]

Runs what the owners of interfaces ask of those who implement them, on our adapters and a cluster of six nodes, and compiles
them, and the examples in the documents, against the owners' types. Installs what is missing, starts the cluster and ends it.

  keyv           the published suite of Keyv 5, its tests of iterators too
  bentocache     the published suite of BentoCache 1
  unstorage      what unstorage 1 documents; its own suite is not published
  cache-manager  what cache-manager 7 documents, through Keyv
  next           what Next 16 documents of its caches: an application, built, and run as several instances
  next-15        the same of Next 15; not among all

Without a name, all. Options:
  --theirs       the stores for Redis that the owners publish instead of ours, as a comparison
  --help         this text

Exit code: 0 all tests of ours pass, 1 not, 130 stopped.`

function options() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { theirs: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    })
    return { ...values, names: positionals }
  } catch (error) {
    throw new Explained(error instanceof Error ? error.message : String(error))
  }
}

await runScript(async () => {
  const { help, theirs, names } = options()
  if (help === true) {
    console.log(HELP)
    return 0
  }
  const unknown = names.find((name) => ![...NAMES, ...MORE].includes(name))
  if (unknown !== undefined) {
    throw new Explained(
      `There is no suite ${JSON.stringify(unknown)}; \`npm run conformance -- --help\` lists them.`,
    )
  }
  // Next publishes no store for Redis.
  const wanted = (names.length > 0 ? names : NAMES).filter(
    (name) => theirs !== true || !name.startsWith('next'),
  )
  const startedMs = Date.now()
  const installing = new AbortController()
  onStop(() => installing.abort())
  try {
    const how = { progress: new Progress(process.stderr), signal: installing.signal }
    await ensurePackages('dev', how)
    await ensurePackages('run', { ...how, folder })
    for (const name of wanted.filter((one) => one.startsWith('next'))) {
      await ensurePackages('run', { ...how, folder: join(folder, name) })
    }
  } catch (error) {
    if (installing.signal.aborted) return 130
    throw error
  }
  const installedMs = Date.now()
  const flags = '--conditions=slotwise-source --import tsx --import ./scripts/with-parent.mjs'.split(' ')
  const types = [
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder],
    [...flags, 'scripts/check-docs.ts', '--conformance'],
  ]
  const suites = [...flags, join(folder, 'run.ts'), ...wanted]
  for (const step of theirs === true ? [[[...suites, '--theirs']]] : [types, [suites]]) {
    const ended = await Promise.all(step.map((args) => launch(args, { graceMs: 3000 })))
    const stopped = ended.find(({ stoppedBy }) => stoppedBy !== undefined)
    if (stopped !== undefined) return stopped.code || 130
    const failed = ended.find(({ code }) => code !== 0)
    if (failed !== undefined) return failed.code
  }
  const took = `took ${seconds(Date.now() - startedMs)}, ${seconds(installedMs - startedMs)} of them to install`
  console.error(dim(took))
  return 0
})
