import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { onStop, runScript } from './launch.mjs'
import { Explained, ensurePackages, root } from './packages.mjs'
import { bold, dim, green, Progress, red, seconds } from './progress.mjs'

const node = process.execPath
const script = ['--import', 'tsx']

/**
 * The gate, in its order: what is cheap and what others build on comes first.
 *
 * @type {readonly { name: string, about: string, commands: readonly (readonly string[])[], live?: boolean }[]}
 */
const STEPS = [
  {
    name: 'generated',
    about: 'generated files are up to date',
    commands: [[node, ...script, 'scripts/generate.ts', '--check']],
  },
  { name: 'format', about: 'format and order of imports', commands: [['biome', 'ci', '--colors=off', '.']] },
  {
    name: 'lint',
    about: 'type-aware lint',
    commands: [['oxlint', '--type-aware', '--deny-warnings', '.']],
  },
  { name: 'lua', about: 'Lua lint', commands: [[node, ...script, 'scripts/lint-lua.ts']] },
  {
    name: 'types',
    about: 'types of everything',
    commands: [
      ['tsc', '-p', 'tsconfig.json'],
      ['tsc', '-p', 'bench'],
    ],
  },
  { name: 'build', about: 'the packages build and pack', commands: [[node, ...script, 'scripts/pack.ts']] },
  { name: 'dead', about: 'no dead code, no undeclared or unused dependency', commands: [['knip']] },
  {
    name: 'docs',
    about: 'code in documents and examples compiles, links lead somewhere',
    commands: [[node, ...script, 'scripts/check-docs.ts']],
  },
  { name: 'tests', about: 'npm test', commands: [[node, 'scripts/test.mjs']], live: true },
  {
    name: 'package',
    about: 'the packages are what package managers and compilers expect',
    commands: [
      ['publint', '--strict', 'dist/slotwise'],
      ['attw', '--pack', 'dist/slotwise', '--profile', 'esm-only'],
      // It has a command and no module, so there are no types to look at.
      ['publint', '--strict', 'dist/cli'],
    ],
  },
]

const HELP = `${bold('npm run check')} -- [options]: everything that must hold before a change is in.

Steps, in this order; the first that fails ends the run:
${STEPS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}

Options:
  --skip-tests   all but the step tests
  --only STEP    only this step; may be given several times
  --help         this text

Exit code: 0 all hold, 1 a step failed or an option is wrong, 130 stopped.`

/** @returns {readonly string[] | undefined} the names of the steps to run; nothing if only help is wanted */
function chosen() {
  const names = STEPS.map(({ name }) => name)
  const { help, only, 'skip-tests': skipTests } = options()
  if (help === true) return undefined
  const unknown = only?.find((name) => !names.includes(name))
  if (unknown !== undefined)
    throw new Explained(`There is no step ${unknown}; there are ${names.join(', ')}.`)
  return names.filter((name) => (only?.includes(name) ?? true) && !(skipTests === true && name === 'tests'))
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean', short: 'h' },
        'skip-tests': { type: 'boolean' },
        only: { type: 'string', multiple: true },
      },
    })
    return values
  } catch (error) {
    throw new Explained(error instanceof Error ? error.message : String(error))
  }
}

const stopping = new AbortController()
/** @type {number | undefined} */
let group

/** @param {NodeJS.Signals} signal */
function endStep(signal) {
  try {
    if (group !== undefined) process.kill(-group, signal)
  } catch {
    // It has ended by itself.
  }
}

/**
 * @param {readonly string[]} command
 * @param {boolean} live whether its output is shown as it comes, rather than only if it fails
 * @returns {Promise<{ code: number, output: string }>}
 */
function run([program = '', ...args], live) {
  return new Promise((resolve) => {
    const path = [join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter)
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, PATH: path },
      stdio: live ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
      // Its own group: what a tool starts ends with it.
      detached: true,
    })
    group = child.pid
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        output += text
      })
    }
    /** @param {number} code */
    const end = (code) => {
      group = undefined
      resolve({ code, output })
    }
    child.once('error', (error) => {
      output += `${error.message}\n`
      end(1)
    })
    child.once('close', (code) => end(code ?? 1))
  })
}

await runScript(async () => {
  const names = chosen()
  if (names === undefined) {
    console.log(HELP)
    return 0
  }
  onStop((_signal, forced) => {
    stopping.abort()
    endStep(forced ? 'SIGKILL' : 'SIGTERM')
  })
  await ensurePackages('dev', { progress: new Progress(), signal: stopping.signal })
  // The types of those whose interfaces are implemented: the lint looks at what is written against them.
  const theirs = { folder: join(root, 'conformance'), progress: new Progress(), signal: stopping.signal }
  if (names.includes('lint')) await ensurePackages('run', theirs)
  // And of those that ours is measured beside.
  if (names.includes('types')) {
    for (const folder of [
      'bench',
      'bench/cache/peers',
      'bench/lock/peers',
      'bench/ratelimit/peers',
      'bench/write-behind/peers',
    ])
      await ensurePackages('run', { ...theirs, folder: join(root, folder) })
  }
  const started = Date.now()
  for (const step of STEPS.filter(({ name }) => names.includes(name))) {
    const since = Date.now()
    const live = step.live === true
    if (live) console.log(`· ${step.name.padEnd(10)} ${dim(step.about)}`)
    for (const command of step.commands) {
      const { code, output } = await run(command, live)
      if (stopping.signal.aborted) return 130
      if (code === 0) continue
      process.stderr.write(output)
      console.error(`${red('✗')} ${step.name.padEnd(10)} ${seconds(Date.now() - since).padStart(8)}`)
      console.error(`  Once mended: npm run check -- --only ${step.name}`)
      return 1
    }
    const took = seconds(Date.now() - since).padStart(8)
    console.log(`${green('✓')} ${step.name.padEnd(10)} ${took}  ${dim(step.about)}`)
  }
  console.log(`${green('✓')} ${names.length} steps in ${seconds(Date.now() - started)}`)
  return 0
})
