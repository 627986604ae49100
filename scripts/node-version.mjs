// Read by every Node, however old: no syntax and no module here that is younger than modules themselves.

/**
 * What is wrong with this version of Node, in one sentence, or nothing.
 *
 * @param {string} version such as `20.19.0`
 * @returns {string | undefined}
 */
export function nodeProblem(version) {
  const parts = version.split('.').map(Number)
  const major = parts[0] || 0
  const minor = parts[1] || 0
  if ((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22) return undefined
  return (
    'This is Node ' +
    version +
    ', and slotwise needs 20.19 or later, or 22.12 or later: install one from https://nodejs.org, then start again.'
  )
}

/**
 * Loads the rest only when this Node can read it.
 *
 * @param {() => Promise<unknown>} load
 */
export function withNode(load) {
  const problem = nodeProblem(process.versions.node)
  if (problem === undefined) {
    void load()
    return
  }
  console.error(problem)
  process.exitCode = 1
}
