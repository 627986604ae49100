import { join } from 'node:path'
import { root } from './packages.mjs'
import { Progress, red } from './progress.mjs'
import { reason } from './reason.js'
import { screen } from './screen.js'
import { bringUp, type Running, type UpOptions } from './stack.js'
import { lockTree } from './tree-lock.js'

/** Brings everything up in this one process, says so, and takes it down when it is told to or left alone. */

/** How long an orderly end may take before the guards of the servers see to it. */
const STOP_MS = 3500

const dir = join(root, '.slotwise')
const { startedMs, ...options }: UpOptions & { startedMs: number } = JSON.parse(process.argv[2] ?? '{}')
const stopping = new AbortController()
let running: Promise<Running> | undefined
let unlock: (() => Promise<void>) | undefined
let ending: Promise<void> | undefined

const stop = () => stopping.abort()
process.on('message', stop)
// The script that started us is gone, however that happened.
process.on('disconnect', stop)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
stopping.signal.addEventListener('abort', () => void end(0))

try {
  unlock = await lockTree(dir)
  running = bringUp(dir, options, new Progress(), stopping.signal)
  const up = await running
  if (!stopping.signal.aborted) console.log(screen(up, dir, Date.now() - startedMs))
} catch (error) {
  if (!stopping.signal.aborted) {
    console.error(`${red('✗')} ${await reason(error, dir)}`)
    await end(1)
  }
}

function end(code: number): Promise<void> {
  return (ending ??= takeDown(code))
}

async function takeDown(code: number): Promise<void> {
  // Not unref'd: it is what makes sure of the end.
  setTimeout(() => process.exit(code), STOP_MS)
  const up = await running?.catch(() => undefined)
  await up?.close().catch(() => {})
  await unlock?.().catch(() => {})
  if (code === 0) console.log('Everything has ended.')
  process.exit(code)
}
