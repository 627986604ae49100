import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

/** Who asked, and when, in whole seconds. */
export interface Request {
  readonly host: string
  readonly second: number
}

/** Data that is no part of the repository: where SLOTWISE_DATA says, or in `shared/data` beside the repository. */
const FOLDER =
  process.env['SLOTWISE_DATA'] ?? fileURLToPath(new URL('../../../../../shared/data', import.meta.url))
const FILE = join(FOLDER, 'http', 'nasa_19950801.tsv.gz')

/** The log of a web server of one day, in the order of its times; where there is none, one that is made up. */
export const RECORDED: { readonly name: string; readonly requests: readonly Request[] } = existsSync(FILE)
  ? { name: 'a day of a web server (NASA, 1 August 1995)', requests: logOf(FILE) }
  : { name: 'a day that is made up', requests: madeUp() }

function logOf(file: string): readonly Request[] {
  const [, ...rows] = gunzipSync(readFileSync(file)).toString('latin1').trimEnd().split('\n')
  return rows.map((row) => {
    const [host = '', , time] = row.split('\t')
    return { host, second: Number(time) }
  })
}

/** Pages of several requests each, by hosts of which some come often, the same each time (a Lehmer generator). */
function madeUp(): readonly Request[] {
  let state = 42
  const below = (most: number): number => {
    state = (state * 48_271) % 2_147_483_647
    return Math.floor((state / 2_147_483_647) * most)
  }
  let second = 807_256_800
  return Array.from({ length: 4000 }, (): readonly Request[] => {
    second += below(8)
    const host = `host-${Math.floor(below(90) ** 2 / 90)}`
    return Array.from({ length: 1 + below(8) }, (_, i) => ({ host, second: second + Math.floor(i / 3) }))
  })
    .flat()
    .toSorted((a, b) => a.second - b.second)
}
