import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What it says next. One that ends says nothing any more. */
async function said(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`ended with ${code}`)
  })
  return await Promise.race([once(child, 'message').then(([message]) => message as unknown), ended])
}

/**
 * Runs a script of this folder in so many processes that begin together, once all have said that they are ready: what each says at
 * its end, and how long that took in all.
 */
export async function inProcesses(
  count: number,
  name: string,
  task: unknown,
): Promise<{ readonly told: readonly unknown[]; readonly passedMs: number }> {
  const path = fileURLToPath(new URL(name, import.meta.url))
  const children = Array.from({ length: count }, () =>
    fork(path, [JSON.stringify(task)], { execArgv: ['--import', 'tsx', '--conditions=slotwise-source'] }),
  )
  try {
    await Promise.all(children.map(said))
    const startedAt = performance.now()
    for (const child of children) child.send('go')
    const told = await Promise.all(children.map(said))
    return { told, passedMs: performance.now() - startedAt }
  } finally {
    for (const child of children) child.kill()
  }
}
