/**
 * Runs the suites on a six-node cluster of their own, and says how many of their tests passed. Exit code 1 if one of ours
 * did not.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startLocalCluster } from 'slotwise/local'

const folder = fileURLToPath(new URL('.', import.meta.url))
const { positionals: names, values } = parseArgs({
  allowPositionals: true,
  options: { theirs: { type: 'boolean', default: false } },
})

interface Results {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
}

/** What vitest writes, as far as it is read here. */
interface VitestResults {
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

const own = mkdtempSync(join(tmpdir(), 'slotwise-conformance-'))
process.once('exit', () => rmSync(own, { recursive: true, force: true }))
// The servers end with this process, however it does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130))

console.error('· Starting a cluster of six nodes')
const cluster = await startLocalCluster({ onProgress: (step) => console.error(`  ${step}`) })
const passes: boolean[] = []
try {
  const left = [...names]
  const work = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) passes.push(await pass(name))
  }
  // They wait for entries to end more than they compute.
  await Promise.all([work(), work()])
} finally {
  await cluster.stop()
}
// What others' own stores do with their suites is a figure, not a promise.
process.exitCode = values.theirs || (passes.length > 0 && passes.every(Boolean)) ? 0 : 1

/** Whether all of a suite passed. */
async function pass(name: string): Promise<boolean> {
  const from = Date.now()
  console.error(`· ${name}`)
  const { passed, failed } = await resultsOf(name)
  const of = passed.length + failed.length
  const seconds = ((Date.now() - from) / 1000).toFixed(1)
  const whose = values.theirs ? `${name}, the owner's own for Redis` : name
  console.log(`${failed.length === 0 ? '✓' : '✗'} ${whose}: ${passed.length} of ${of} in ${seconds} s`)
  for (const title of failed) console.log(`    ✗ ${title}`)
  return failed.length === 0
}

/** What became of each test of a suite; one that could not be run is a failure of its own. */
async function resultsOf(name: string): Promise<Results> {
  const file = join(own, `${name}.json`)
  const isJapa = name === 'bentocache'
  const code = await run(
    isJapa
      ? ['--conditions=slotwise-source', '--import', 'tsx', join(folder, 'bentocache.japa.ts')]
      : [
          join(folder, 'node_modules/vitest/vitest.mjs'),
          'run',
          `${name}.suite.ts`,
          '--reporter=dot',
          '--reporter=json',
          `--outputFile.json=${file}`,
        ],
    {
      SLOTWISE_NODES: cluster.connectOptions.nodes.join(','),
      SLOTWISE_SUBJECT: values.theirs ? 'theirs' : 'ours',
      SLOTWISE_RESULTS: file,
    },
  )
  try {
    const results = JSON.parse(readFileSync(file, 'utf8')) as Results & VitestResults
    const read = isJapa ? results : counted(results)
    if (read.failed.length > 0) return read
    if (read.passed.length === 0) return { ...read, failed: ['it ran no test'] }
    return code === 0 ? read : { ...read, failed: [`it ended with ${code}`] }
  } catch {
    return { passed: [], failed: [`it ended with ${code}, before any test`] }
  }
}

function counted({ testResults }: VitestResults): Results {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  const titles = (wanted: boolean): string[] =>
    tests.filter(({ status }) => (status === 'passed') === wanted).map(({ fullName }) => fullName)
  const broken = testResults.filter(({ assertionResults }) => assertionResults.length === 0)
  return { passed: titles(true), failed: [...titles(false), ...broken.map(({ message }) => message)] }
}

/** What it said is shown if it failed; of theirs nobody wants to read every failure. */
function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (code) => {
      if (code !== 0 && !values.theirs) process.stderr.write(said)
      done(code ?? 1)
    })
  })
}
