import type { Position } from './journal.js'
import type { Row } from './rows.js'

/** Which batch it is. */
export interface BatchContext {
  readonly partition: number
  /** Larger than that of every earlier flusher of the partition, where the writer counts them; else 0. */
  readonly epoch: bigint
  /**
   * Where the journal was before, and where it is once the rows are written. Both are the same while rows are tried by
   * themselves because some cannot be written: then the position stays.
   */
  readonly from: Position
  readonly to: Position
  /** Aborted when the partition is another process's, or may be. */
  readonly signal: AbortSignal
}

/** Writes the latest states of rows, each id once, in any order. */
export type WriteBatch<T> = (rows: readonly Row<T>[], context: BatchContext) => Promise<void>

/** What a flusher is told when it takes a partition over. */
export interface Claim {
  readonly epoch: bigint
  /** Up to where the journal is written. */
  readonly position: Position
}

/** A database that keeps the position beside the rows, in one transaction with them: what makes it exactly once. */
export interface Writer<T> {
  /** Fences every earlier flusher of the partition. `undefined` where nothing is known: then all that waits is written. */
  claim(partition: number, signal: AbortSignal): Promise<Claim | undefined>
  /** @throws BatchFencedError another flusher has claimed the partition, or the position is not what it was */
  write: WriteBatch<T>
  /**
   * Whether an error is about a row, so that others can be written; told, such a row is given up at once. With it, a
   * `ConfigurationError` of `write` is about no row, however often it comes.
   */
  isAboutRow?(error: unknown): boolean
}
