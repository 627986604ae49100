import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** Requests for product pages that a web shop had. */
export type TraceName = 'web07' | 'web12'

const fileOf = (folder: string, name: TraceName) => join(folder, 'traces', `cache2k-${name}.trace.gz`)

export const hasTraces = (folder: string): boolean =>
  existsSync(fileOf(folder, 'web12')) && existsSync(fileOf(folder, 'web07'))

/** The ids that were asked for, in their order. */
export function traceOf(folder: string, name: TraceName): readonly string[] {
  const bytes = gunzipSync(readFileSync(fileOf(folder, name)))
  return Array.from({ length: bytes.length / 4 }, (_, i) => String(bytes.readInt32BE(4 * i)))
}
