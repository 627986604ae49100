import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { SaxesParser } from 'saxes'
import { DumpError, type DumpFile } from './dump.js'

/** A `<row>` and its place in the file, counted from 1. */
export interface Row {
  readonly number: number
  readonly attributes: Readonly<Record<string, string | undefined>>
}

/** Settings of {@link readRows}. */
export interface Reading {
  /** Told how much of the file has been read, in bytes on the disk. */
  readonly onBytes: (bytes: number) => void
}

/**
 * The rows of a list, a piece of the file at a time; the whole of it is never in memory.
 *
 * @throws DumpError at the first thing that is no well-formed list: what came before it has been handed out
 */
export async function* readRows(file: DumpFile, { onBytes }: Reading): AsyncGenerator<readonly Row[]> {
  const source = createReadStream(file.path)
  // A failure of the file ends the reading below too, with the same error.
  const bytes = file.name.endsWith('.gz') ? pipeline(source, createGunzip(), () => {}) : source
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const list = new ListParser(file)
  try {
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      const rows = list.feed(decoder.decode(chunk, { stream: true }))
      onBytes(source.bytesRead)
      if (rows.length > 0) yield rows
    }
    const rows = list.end(decoder.decode())
    if (rows.length > 0) yield rows
  } catch (error) {
    throw error instanceof DumpError ? error : list.broken(error)
  } finally {
    source.destroy()
  }
}

class ListParser {
  readonly #file: DumpFile
  readonly #parser = new SaxesParser()
  #depth = 0
  #count = 0
  #rows: Row[] = []

  constructor(file: DumpFile) {
    this.#file = file
    this.#parser.on('opentag', ({ name, attributes }) => {
      this.#open(name, attributes)
    })
    this.#parser.on('closetag', () => {
      this.#depth--
    })
  }

  feed(text: string): readonly Row[] {
    this.#rows = []
    this.#parser.write(text)
    return this.#rows
  }

  end(text: string): readonly Row[] {
    const rows = this.feed(text)
    this.#parser.close()
    return rows
  }

  /** What the reader or the parser found, with the row where it did. */
  broken(error: unknown): DumpError {
    const { code, message } = error as NodeJS.ErrnoException
    const row = this.#count + 1
    if (code === 'Z_BUF_ERROR') return this.#wrong(row, 'the compressed file is cut off here', error)
    if (code?.startsWith('Z_') === true)
      return this.#wrong(row, `the compressed file is damaged: ${message}`, error)
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return this.#wrong(row, 'is not UTF-8', error)
    if (code !== undefined) return this.#wrong(undefined, `cannot be read: ${message}`, error)
    const said = message.replace(/^(?:[^\s:]*:)?\d+:\d+: /, '')
    return this.#wrong(row, `is no well-formed XML: ${said} (line ${this.#parser.line})`, error)
  }

  #open(name: string, attributes: Readonly<Record<string, string>>): void {
    const root = this.#file.list.toLowerCase()
    if (this.#depth === 0 && name !== root) {
      throw this.#wrong(undefined, `is not a list of ${root}: it begins with <${name}>`)
    }
    if (this.#depth === 1) {
      if (name !== 'row') throw this.#wrong(this.#count + 1, `is not a row: <${name}>`)
      this.#rows.push({ number: ++this.#count, attributes })
    }
    if (this.#depth === 2) throw this.#wrong(this.#count, `there is a <${name}> inside of it`)
    this.#depth++
  }

  #wrong(row: number | undefined, wrong: string, cause?: unknown): DumpError {
    return new DumpError(this.#file.name, row, wrong, cause)
  }
}
