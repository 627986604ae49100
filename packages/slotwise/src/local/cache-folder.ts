import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Where what was fetched is kept for this user: safe to delete, made again when needed. */
export function cacheFolder(): string {
  const named = process.env['XDG_CACHE_HOME']
  // The specification says to ignore a relative path.
  if (named !== undefined && isAbsolute(named)) return join(named, 'slotwise')
  // A user without a home, as in some containers.
  const home = homedir() === '' || homedir() === '/nonexistent' ? tmpdir() : homedir()
  return process.platform === 'darwin' ? join(home, 'Library/Caches/slotwise') : join(home, '.cache/slotwise')
}
