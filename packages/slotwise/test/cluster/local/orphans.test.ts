import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startGuarded } from '../../../src/local/guard.js'
import { processInfo } from '../../../src/local/process.js'
import { processesWith } from '../../support/processes.js'
import { spawnChild, startChild } from '../../support/start-child.js'

let temporary: string
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'slotwise-test-'))
})
afterEach(() => rm(temporary, { recursive: true, force: true }))

const alive = (pids: readonly number[]) => pids.filter((pid) => processInfo(pid) !== undefined)

test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
  'a process ended by %s leaves no server behind, even one that stands still, and no file',
  async (signal) => {
    const { child, pids } = await startChild('wait', { temporary })
    expect(alive(pids)).toHaveLength(6)
    process.kill(pids[1] ?? 0, 'SIGSTOP')
    await expect.poll(() => processInfo(pids[1] ?? 0)?.stopped).toBe(true)
    child.kill(signal)
    await expect.poll(() => alive(pids), { timeout: 5000 }).toEqual([])
    await expect
      .poll(async () => (await readdir(temporary)).filter((name) => /^slotwise-(?!cache)/.test(name)))
      .toEqual([])
  },
  20_000,
)

test('a process killed while it starts its cluster leaves no server behind, whenever that is', async () => {
  // The folder stands in the command lines of servers and guards.
  const ours = () => processesWith(temporary)
  let caught = 0
  for (const afterMs of [0, 0, 5, 20, 80]) {
    const child = spawnChild('wait', { temporary })
    // Counted from the first sign of a server, whatever this machine takes to get there.
    await expect.poll(() => ours().length, { timeout: 10_000, interval: 2 }).toBeGreaterThan(0)
    await new Promise((done) => setTimeout(done, afterMs))
    caught += ours().length
    child.kill('SIGKILL')
    await expect.poll(ours, { timeout: 5000 }).toEqual([])
  }
  expect(caught).toBeGreaterThan(5)
}, 30_000)

test.each([
  ['its cluster', 'end'],
  ['its cluster, the network and proxies', 'end-with-faults'],
] as const)(
  'a process that forgets to stop %s still ends, and its servers with it',
  async (_, mode) => {
    const { child, pids } = await startChild(mode, { temporary })
    try {
      await expect.poll(() => child.exitCode, { timeout: 10_000 }).toBe(0)
      await expect.poll(() => alive(pids), { timeout: 5000 }).toEqual([])
    } finally {
      child.kill('SIGKILL')
    }
  },
  20_000,
)

test('a server whose guard is killed ends too', async () => {
  const guarded = await startGuarded({
    command: 'sleep',
    args: ['60'],
    stopSignal: 'TERM',
    graceMs: 1000,
    log: join(temporary, 'log'),
  })
  process.kill(processInfo(guarded.pid)?.parent ?? 0, 'SIGKILL')
  expect(await guarded.exited).toBeNull()
  await expect.poll(() => alive([guarded.pid])).toEqual([])
})

test('a server that does not heed its signal is killed after the grace, and one that ends by itself says how', async () => {
  const start = (text: string, removeAtEnd?: string) =>
    startGuarded({
      command: 'sh',
      args: ['-c', text, join(temporary, 'ready')],
      stopSignal: 'TERM',
      graceMs: 300,
      log: join(temporary, 'log'),
      removeAtEnd,
    })
  const folder = await mkdtemp(join(temporary, 'data-'))
  const stubborn = await start('trap "" TERM; touch "$0"; while :; do sleep 0.05; done', folder)
  await expect.poll(() => existsSync(join(temporary, 'ready'))).toBe(true)
  const started = performance.now()
  await stubborn.stop()
  expect(await stubborn.exited).toBe(137)
  expect(performance.now() - started).toBeGreaterThan(250)
  expect(existsSync(folder)).toBe(false)

  const kept = await mkdtemp(join(temporary, 'data-'))
  expect(await (await start('exit 7', kept)).exited).toBe(7)
  expect(existsSync(kept)).toBe(true)
  expect(await (await start('exec /no/such/program')).exited).toBe(127)
})
