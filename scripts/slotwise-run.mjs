import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { runScript } from './launch.mjs'
import { ensurePackages, root } from './packages.mjs'
import { Progress } from './progress.mjs'

/** The `slotwise` command from the sources of this clone: `npm run slotwise -- info 127.0.0.1:7000`. */

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

await runScript(async () => {
  const installing = new AbortController()
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child
  // A terminal tells the command itself too, which takes two of a kind at once for one.
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      installing.abort()
      child?.kill(signal)
    })
  }
  await ensurePackages('run', { progress: new Progress(process.stderr), signal: installing.signal })
  child = spawn(
    process.execPath,
    [
      '--conditions=slotwise-source',
      '--import',
      import.meta.resolve('tsx'),
      join(root, 'packages/cli/src/main.ts'),
      ...process.argv.slice(2),
    ],
    // Files are named from where the user is, not from where npm has gone.
    { cwd: process.env['INIT_CWD'] ?? process.cwd(), stdio: 'inherit' },
  )
  const running = child
  return await new Promise((done, fail) => {
    running.once('error', fail)
    running.once('exit', (code, signal) => done(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
})
