import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'

export const LISTS = ['Users', 'Posts', 'Comments', 'Votes'] as const
export type ListName = (typeof LISTS)[number]

/** One file of a dump. */
export interface DumpFile {
  readonly list: ListName
  readonly path: string
  /** As it is called in the folder. */
  readonly name: string
  readonly bytes: number
}

/** A folder with the four lists of a Stack Exchange site. */
export interface Dump {
  readonly files: readonly DumpFile[]
  /** The same as long as no file has changed. */
  readonly fingerprint: string
}

/** Something about a dump is wrong. The message names the file, and the row where there is one. */
export class DumpError extends Error {
  override readonly name = 'DumpError'
  readonly code = 'DUMP_INVALID'
  readonly file: string
  /** Counted from 1. */
  readonly row: number | undefined

  constructor(file: string, row: number | undefined, wrong: string, cause?: unknown) {
    super(`${file}${row === undefined ? '' : `, row ${row}`}: ${wrong}`, { cause })
    this.file = file
    this.row = row
  }
}

/** The folder itself if it is a dump, else every dump among its folders, by name. */
export function findDumps(dir: string): readonly string[] {
  const isDump = (path: string) => fileOf(path, 'Posts') !== undefined
  if (isDump(dir)) return [dir]
  return readdirSync(dir)
    .map((name) => join(dir, name))
    .filter(isDump)
    .toSorted()
}

/** @throws DumpError when one of the lists is missing */
export async function openDump(dir: string): Promise<Dump> {
  const hash = createHash('sha256')
  const files: DumpFile[] = []
  for (const list of LISTS) {
    const path = fileOf(dir, list)
    if (path === undefined) {
      throw new DumpError(basename(dir), undefined, `there is no ${list}.xml or ${list}.xml.gz in ${dir}`)
    }
    const { size, mtimeMs } = await stat(path)
    const name = basename(path)
    hash.update(JSON.stringify([name, size, mtimeMs]))
    files.push({ list, path, name, bytes: size })
  }
  return { files, fingerprint: hash.digest('hex') }
}

function fileOf(dir: string, list: ListName): string | undefined {
  return [`${list}.xml`, `${list}.xml.gz`].map((name) => join(dir, name)).find((path) => existsSync(path))
}
