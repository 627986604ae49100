import { closeSync, openSync, readSync, writeSync } from 'node:fs'

/** Milliseconds by a clock that all processes of this machine share. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000
}

/** What is promised of a row. */
export interface Promised {
  /** No read that begins from now on may get less. */
  readonly floor: number
  /** Since when. */
  readonly at: number
}

const HEADER = 24
const ROW = 24

/**
 * The "database" of several processes: versions in a file that all have open, which the system's page cache makes one
 * memory. Each row has one process that writes it, so a version needs no lock; each number is 8 bytes, read and
 * written at once.
 */
export class Versions {
  readonly #file: number
  readonly #bytes = Buffer.alloc(ROW)

  constructor(path: string) {
    this.#file = openSync(path, 'r+')
  }

  close(): void {
    closeSync(this.#file)
  }

  version(row: number): number {
    return this.#get(this.#at(row))
  }

  commit(row: number): number {
    const next = this.version(row) + 1
    this.#put(this.#at(row), next)
    return next
  }

  promised(row: number): Promised {
    readSync(this.#file, this.#bytes, 0, 16, this.#at(row) + 8)
    return { floor: this.#bytes.readDoubleLE(0), at: this.#bytes.readDoubleLE(8) }
  }

  /** That a version, or a later one, is what everybody gets who begins now. */
  promise(row: number, version: number): void {
    if (version <= this.promised(row).floor) return
    this.#bytes.writeDoubleLE(version, 0)
    this.#bytes.writeDoubleLE(sharedNow(), 8)
    writeSync(this.#file, this.#bytes, 0, 16, this.#at(row) + 8)
    this.#put(16, row)
  }

  /** The row of which something was promised last. */
  get latest(): number {
    return this.#get(16)
  }

  get isOver(): boolean {
    return this.#get(0) === 1
  }

  set isOver(over: boolean) {
    this.#put(0, Number(over))
  }

  /** Whether a fault is under way. */
  get isFaulty(): boolean {
    return this.#get(8) === 1
  }

  set isFaulty(faulty: boolean) {
    this.#put(8, Number(faulty))
  }

  #at(row: number): number {
    return HEADER + row * ROW
  }

  #get(at: number): number {
    readSync(this.#file, this.#bytes, 0, 8, at)
    return this.#bytes.readDoubleLE(0)
  }

  #put(at: number, value: number): void {
    this.#bytes.writeDoubleLE(value, 0)
    writeSync(this.#file, this.#bytes, 0, 8, at)
  }
}

/** How large the file is, full of zeros, for so many rows. */
export const sizeOf = (rows: number): number => HEADER + rows * ROW
