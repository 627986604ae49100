import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { lockTree } from '../tree-lock.js'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'slotwise-lock-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

it('takes over from a start that was killed, though its number is another program now', async () => {
  // This process lives, and is no start.
  await writeFile(join(dir, 'lock'), `${process.pid} 00000000-0000-4000-8000-000000000000`)
  const unlock = await lockTree(dir)
  await unlock()
  expect(await readdir(dir)).toEqual([])
})

it('takes over from a start whose lock was cut off in the middle', async () => {
  await writeFile(join(dir, 'lock'), '')
  await (await lockTree(dir))()
  expect(await readdir(dir)).toEqual([])
})
