import type { Reply } from '../../redis/port.js'
import { type Found, found } from './finding.js'
import type { Interview } from './interview.js'

/** A key of a sample that takes more memory than a key should. */
export interface BigKey {
  /** As `redis-cli` takes it: in quotes, with escapes, where it is not of plain letters. */
  readonly key: string
  readonly bytes: number
}

interface Sampling {
  readonly bigKeyBytes: number
  /** How many keys of each primary are weighed. */
  readonly sampledKeys: number
}

/**
 * Weighs some keys of a primary: as many as asked for, or what an eighth as many steps of SCAN find. A sample finds
 * what is frequent; that nothing was found proves nothing.
 */
export async function sampleKeys(
  interview: Interview,
  { bigKeyBytes, sampledKeys }: Sampling,
): Promise<readonly BigKey[]> {
  const keys: Buffer[] = []
  let cursor = '0'
  for (let step = 0; step < 8 && keys.length < sampledKeys; step++) {
    const reply = await interview.ask(['SCAN', cursor, 'COUNT', Math.ceil(sampledKeys / 4)], true)
    const [next, page] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
    if (!Array.isArray(page)) break
    keys.push(...(page as readonly Reply[]).filter((key) => Buffer.isBuffer(key)))
    cursor = String(next)
    if (cursor === '0') break
  }
  const weighed = await Promise.all(
    keys.slice(0, sampledKeys).map(async (key) => {
      const bytes = await interview.ask(['MEMORY', 'USAGE', key])
      return typeof bytes === 'number' && bytes > bigKeyBytes ? [{ key: argumentOf(key), bytes }] : []
    }),
  )
  return weighed.flat()
}

/** A key that were torn in two by its blank would have a fix that removes others. */
function argumentOf(key: Buffer): string {
  const text = key.toString('latin1')
  if (/^[\w:;.,/@#~&*+={}()[\]<>|!?$%^-]+$/.test(text)) return text
  const escaped = text.replaceAll(
    // A backquote would end the command in the text around it.
    /[^ !#-[\]-_a-~]/g,
    (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `"${escaped}"`
}

/** Of one node the largest few are named. */
const NAMED = 5

export function bigKeys({ nodes }: Weighed): Found[] {
  return nodes.flatMap(({ name, bigKeys: keys }) => {
    const largest = keys.toSorted((a, b) => b.bytes - a.bytes).slice(0, NAMED)
    return largest.map(({ key, bytes }) =>
      found('big-key', name, `${key} takes ${bytes} bytes at ${name}`, { key }),
    )
  })
}

interface Weighed {
  readonly nodes: readonly { readonly name: string; readonly bigKeys: readonly BigKey[] }[]
}
