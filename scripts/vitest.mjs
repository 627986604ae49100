import { launch, onStop } from './launch.mjs'
import { ensurePackages } from './packages.mjs'
import { dim, Progress, seconds } from './progress.mjs'

/**
 * Runs vitest to its end with everything it needs installed, and says how long it took. When it is interrupted, its
 * workers end with it, and the servers they started with them.
 *
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>} the exit code
 */
export async function vitest(args, env = {}) {
  const startedMs = Date.now()
  const installing = new AbortController()
  onStop(() => installing.abort())
  try {
    await ensurePackages('dev', { progress: new Progress(), signal: installing.signal })
  } catch (error) {
    if (installing.signal.aborted) return 130
    throw error
  }
  const { code, stoppedBy } = await launch(
    ['--import', './scripts/with-parent.mjs', 'node_modules/vitest/vitest.mjs', 'run', ...args],
    // What vitest's set-up holds, its servers, ends by itself when vitest is gone.
    { graceMs: 2000, env },
  )
  console.log(dim(`took ${seconds(Date.now() - startedMs)}`))
  return stoppedBy === undefined ? code : code || 130
}
