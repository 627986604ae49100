import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { ServerNotFoundError } from '../errors.js'

/** Where what was fetched is kept for this user: safe to delete, made again when needed. */
export function cacheFolder(): string {
  const named = process.env['XDG_CACHE_HOME']
  // The specification says to ignore a relative path.
  if (named !== undefined && isAbsolute(named)) return join(named, 'slotwise')
  const home = homedir()
  // What systems give to users that are to have none.
  if (['', '/', '/nonexistent'].includes(home) || !existsSync(home)) {
    return privateFolder(join(tmpdir(), `slotwise-cache-${process.getuid?.() ?? 0}`))
  }
  return process.platform === 'darwin' ? join(home, 'Library/Caches/slotwise') : join(home, '.cache/slotwise')
}

/** In a folder where anybody may write, only what is ours and nobody else's to change is safe to run. */
function privateFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const found = lstatSync(path)
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return path
  throw new ServerNotFoundError(
    `${path} belongs to somebody else: set XDG_CACHE_HOME to a folder of yours, or SLOTWISE_REDIS_SERVER to a redis-server.`,
  )
}
