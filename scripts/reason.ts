import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SlotwiseError } from 'slotwise'
import { DumpError } from '../apps/comments/src/import/dump.js'
import { Explained } from './packages.mjs'
import { PostgresStartError } from './postgres-place.js'

/** Why it did not come up, as one sentence. What we did not foresee goes to a file, stack and all. */
export async function reason(failure: unknown, dir: string): Promise<string> {
  if (failure instanceof Explained || failure instanceof PostgresStartError) return failure.message
  const said = failure instanceof Error ? failure.message : String(failure)
  const code = failure instanceof Error && 'code' in failure ? failure.code : undefined
  if (code === 'ENOSPC' || /No space left/i.test(said)) {
    return `The disk is full: free some space for ${dir}, then start again.`
  }
  if (failure instanceof Error && (code === 'EACCES' || code === 'EROFS')) {
    const path = 'path' in failure && typeof failure.path === 'string' ? failure.path : dir
    return `This user may not use ${path}: make it its own (chown), then start again.`
  }
  if (failure instanceof DumpError) return `The data cannot be imported: ${said}.`
  if (failure instanceof SlotwiseError) return said
  const file = join(dir, 'error.log')
  const whole = failure instanceof Error ? (failure.stack ?? said) : said
  const written = await writeFile(file, `${whole}\n`).then(
    () => `; more about it is in ${file}`,
    () => '',
  )
  return `It could not start: ${said.split('\n')[0]?.replace(/\.$/, '')}${written}.`
}
