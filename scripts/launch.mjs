import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Explained, root } from './packages.mjs'
import { red } from './progress.mjs'

/** Signals that end us. SIGKILL of npm is noticed by its absence. */
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])

/** npm repeats the terminal's SIGINT within a millisecond or so; nobody presses Ctrl-C twice that fast. */
const ECHO_MS = 100

/**
 * Hears of everything that should end us: a signal, or the death of the npm that started us. A second Ctrl-C
 * `forces`.
 *
 * @param {(signal: NodeJS.Signals, forced: boolean) => void} listener
 */
export function onStop(listener) {
  let firstMs = 0
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const again = firstMs > 0
      if (again && (signal !== 'SIGINT' || Date.now() - firstMs < ECHO_MS)) return
      firstMs ||= Date.now()
      listener(signal, again)
    })
  }
  // The terminal may be gone before we are.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  if (process.env['npm_lifecycle_event'] === undefined) return
  const npm = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === npm) return
    clearInterval(watch)
    firstMs ||= Date.now()
    listener('SIGHUP', false)
  }, 100)
  watch.unref()
}

/**
 * Runs one program under this Node, in a group of its own so that signals reach it through us alone, and ends
 * all of that group when the program ends, or does not end `graceMs` after it was told to.
 *
 * @param {readonly string[]} args for node
 * @param {{ graceMs: number, env?: NodeJS.ProcessEnv, cwd?: string, stopBy?: 'message' | 'signal' }} options
 * @returns {Promise<{ code: number, stoppedBy: NodeJS.Signals | undefined }>}
 */
export async function launch(args, { graceMs, env = {}, cwd = root, stopBy = 'signal' }) {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  })
  /** @type {(signal: NodeJS.Signals) => void} */
  const killGroup = (signal) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {}
  }
  /** @type {NodeJS.Signals | undefined} */
  let stoppedBy
  onStop((signal, forced) => {
    stoppedBy ??= signal
    if (forced) killGroup('SIGKILL')
    else if (stopBy === 'signal') killGroup(signal)
    else if (child.connected) child.send({ stop: signal }, () => {})
    setTimeout(() => killGroup('SIGKILL'), graceMs).unref()
  })
  const code = await new Promise((done, fail) => {
    child.once('error', fail)
    child.once('exit', (exitCode, signal) => done(exitCode ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
  killGroup('SIGKILL')
  return { code, stoppedBy }
}

/**
 * Runs a script to its end: what the user can mend is said in one sentence.
 *
 * @param {() => Promise<number>} main resolves with the exit code
 */
export async function runScript(main) {
  try {
    process.exitCode = await main()
  } catch (error) {
    process.exitCode = 1
    if (error instanceof Explained) console.error(`${red('✗')} ${error.message}`)
    else console.error(error)
  }
  // Nothing that was left open by a failure may keep us.
  setTimeout(() => process.exit(), 500).unref()
}
