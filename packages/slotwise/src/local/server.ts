import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Access, fields } from '../cluster/observe.js'
import { LocalServerError } from '../errors.js'
import { WireClient } from '../redis/wire.js'
import { type NodeConfig, nodeConfig } from './config.js'
import type { FoundServer } from './find.js'
import { type Guarded, startGuarded } from './guard.js'

/** A redis-server of ours that answers. */
export interface RunningServer {
  readonly guarded: Guarded
  readonly config: NodeConfig
  /** What it said last. */
  readonly lastLines: () => Promise<string>
}

const GRACE_MS = 2000
/** From the start to the first answer, on a machine that has other things to do. */
const START_MS = 15_000
const LAST_LINES = 12

/**
 * Starts one server and resolves when it answers, which a stranger on the same port cannot do in its place:
 * the answer must come from the process that we started.
 *
 * @throws LocalServerError with the last lines of its log
 */
export async function startServer(
  found: FoundServer,
  config: NodeConfig,
  access: Access,
  removeAtEnd: string | undefined,
): Promise<RunningServer> {
  await mkdir(config.dir, { recursive: true })
  const file = join(config.dir, 'redis.conf')
  await writeFile(file, nodeConfig(config), { mode: 0o600 })
  // What an earlier server said must not be taken for this one's words.
  await rename(logOf(config), `${logOf(config)}.previous`).catch(() => {})
  const guarded = await startGuarded({
    command: found.path,
    args: [file],
    // A locale that this machine lacks ends newer servers.
    env: { ...process.env, ...found.env, LC_ALL: 'C' },
    stopSignal: 'TERM',
    graceMs: GRACE_MS,
    log: logOf(config),
    removeAtEnd,
  })
  await writeFile(join(config.dir, 'pid'), `${guarded.pid}\n`)
  try {
    await untilAnswers(guarded, config, access)
    return { guarded, config, lastLines: () => lastLines(config) }
  } catch (error) {
    await guarded.end('SIGKILL')
    throw error
  }
}

async function untilAnswers(guarded: Guarded, config: NodeConfig, access: Access): Promise<void> {
  const state = { over: false }
  void guarded.exited.then(() => (state.over = true))
  const deadline = performance.now() + START_MS
  const node = `127.0.0.1:${config.port}`
  for (;;) {
    access.signal?.throwIfAborted()
    if (state.over) throw await died(config)
    const answer = await whoAnswers(config.port, access)
    if (!(answer instanceof Error)) {
      if (answer.pid !== guarded.pid) {
        throw new LocalServerError(`another Redis, process ${answer.pid}, answers on ${node}`, {
          log: await lastLines(config),
        })
      }
      // Reading its data may take as long as it takes.
      if (!answer.loading) return
    } else if (performance.now() > deadline) {
      throw new LocalServerError(`redis-server does not answer on ${node} after ${START_MS / 1000} s`, {
        log: await lastLines(config),
        cause: answer,
      })
    }
    await sleep(10)
  }
}

/** The process that answers on a port, or why none does. */
async function whoAnswers(port: number, access: Access): Promise<{ pid: number; loading: boolean } | Error> {
  let client: WireClient | undefined
  try {
    client = await WireClient.connect({ host: '127.0.0.1', port, ...access, timeoutMs: 1000 })
    const [server, persistence] = await client.pipeline([
      ['INFO', 'server'],
      ['INFO', 'persistence'],
    ])
    const pid = Number(fields(String(server)).get('process_id'))
    return { pid, loading: fields(String(persistence)).get('loading') === '1' }
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    client?.close()
  }
}

/** Whether the server ended because somebody else listens on its port. */
export function lostItsPort(error: unknown): boolean {
  if (!(error instanceof LocalServerError)) return false
  return /Address already in use|another Redis, process|Could not create server TCP/i.test(
    error.log + error.message,
  )
}

async function died(config: NodeConfig): Promise<LocalServerError> {
  const log = await lastLines(config)
  return new LocalServerError(
    `redis-server for port ${config.port} ended as soon as it was started. It said:\n${log}`,
    { log },
  )
}

async function lastLines(config: NodeConfig): Promise<string> {
  const text = await readFile(logOf(config), 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-LAST_LINES).join('\n')
}

function logOf(config: NodeConfig): string {
  return join(config.dir, 'log')
}
