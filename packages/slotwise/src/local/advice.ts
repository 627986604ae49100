import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** How a user of this system gets a server. */
export function advice(): string {
  const other = ' Or set SLOTWISE_REDIS_SERVER to a redis-server or valkey-server of version 7.0 or later.'
  if (process.platform === 'darwin') return `Install it with: brew install redis.${other}`
  const tools = [
    ['apt-get', 'sudo apt-get install redis-server (an old release needs https://packages.redis.io)'],
    ['dnf', 'sudo dnf install valkey (or redis)'],
    ['apk', 'apk add redis'],
    ['pacman', 'sudo pacman -S valkey'],
    ['zypper', 'sudo zypper install redis7'],
  ] as const
  const found = tools.find(([tool]) => onPath([tool]).length > 0)
  return `Install redis-server 7.0 or later${found ? ` with: ${found[1]}` : ''}.${other}`
}

/** Programs of these names on PATH, in its order. Never resolved: what a link is called decides what Redis does. */
export function onPath(names: readonly string[]): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).filter(isProgram)
}

/** A PATH may name folders that this user cannot look into. */
function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
