import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { processInfo } from '../packages/slotwise/src/local/process.js'
import { Explained } from './packages.mjs'

/**
 * Lets one start at a time use the data in `dir`: two would run two clusters over the same files.
 *
 * A start that was killed leaves its lock behind; whoever comes next sees that its process is gone and takes over.
 *
 * @returns what gives the lock back
 */
export async function lockTree(dir: string): Promise<() => Promise<void>> {
  await mkdir(dir, { recursive: true })
  const file = join(dir, 'lock')
  const own = `${file}.${process.pid}`
  const words = `${process.pid} ${randomUUID()}`
  await writeFile(own, words)
  try {
    for (;;) {
      // A link appears with its contents or not at all.
      if (await succeeds(link(own, file))) return () => rm(file, { force: true })
      const found = await readFile(file, 'utf8').catch(() => '')
      const pid = Number(found.split(' ')[0])
      // The number may belong to another program by now.
      if (pid > 0 && processInfo(pid)?.command.includes('up.ts')) {
        throw new Explained(
          `npm start is already running here, as process ${pid}: end that one first, or use another clone.`,
        )
      }
      await takeAway(file, found)
    }
  } finally {
    await rm(own, { force: true })
  }
}

/** Removes the lock that was read, and puts back another that somebody has taken in between. */
async function takeAway(file: string, read: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`
  if (!(await succeeds(rename(file, aside)))) return
  if ((await readFile(aside, 'utf8')) !== read) await succeeds(link(aside, file))
  await rm(aside, { force: true })
}

function succeeds(done: Promise<unknown>): Promise<boolean> {
  return done.then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST' || error.code === 'ENOENT') return false
      throw error
    },
  )
}
