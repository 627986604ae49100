import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ScriptFile } from './module.js'

/** The source folder of each package. */
export function sourceRoots(root = '.'): string[] {
  return readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name, 'src'))
}

/** Every script of the product: `packages/<package>/src/**\/x.lua`. */
export function luaFiles(root = '.'): ScriptFile[] {
  return sourceRoots(root).flatMap((sourceRoot) =>
    filesUnder(sourceRoot, '.lua').map((path) => ({ path, sourceRoot })),
  )
}

/** Files under a folder by their ending, in an order that does not depend on the machine. */
export function filesUnder(folder: string, ending: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}
