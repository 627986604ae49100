import { BatchFencedError, ConfigurationError } from '../errors.js'
import type { DeadLetters } from './dead-letters.js'
import type { Row } from './rows.js'
import { timely } from './timely.js'
import type { BatchContext, Writer } from './writer.js'

/** A row under its name in the journal. */
export interface NamedRow<T> {
  readonly name: string
  readonly row: Row<T>
}

/** What this process has seen of the database, in whichever partition. */
export interface Evidence {
  /** Batches that it has taken. */
  taken: number
}

/** How batches are written. */
export interface SettlingSettings<T> {
  readonly writer: Writer<T>
  readonly letters: DeadLetters<T>
  readonly evidence: Evidence
  readonly writeTimeoutMs: number
  /** Told of each row that is given up. */
  readonly report: (error: unknown) => void
}

/** So often a batch fails before its rows are tried apart, where nobody says that it is about a row. */
const PATIENCE = 5

/**
 * Writes the batches of one partition, and finds out by halves which rows the database does not take: those are given up, and
 * the others go on.
 *
 * A row is given up when the writer says that the error is about it, or when the database has taken others meanwhile. As long
 * as it takes nothing, nothing is given up: then it is the database.
 */
export class Settling<T> {
  readonly #settings: SettlingSettings<T>
  /** Since the batch before was written. */
  #failures = 0
  #takenThen = 0

  constructor(settings: SettlingSettings<T>) {
    this.#settings = settings
  }

  /** @throws whatever the writer throws: the batch is to be tried again */
  async write(rows: readonly NamedRow<T>[], context: BatchContext): Promise<void> {
    const { evidence, letters, writer, report } = this.#settings
    if (this.#failures === 0) this.#takenThen = evidence.taken
    try {
      await this.#send(rows, context)
    } catch (error) {
      if (this.#isOver(error, context)) throw error
      this.#failures++
      const isSure = writer.isAboutRow?.(error) === true
      if (rows.length === 0 || (!isSure && this.#failures < PATIENCE)) throw error
      const refused = new Map<
        string,
        { readonly row: Row<T>; readonly error: string; readonly isSure: boolean }
      >()
      await this.#apart(rows, { ...context, to: context.from }, refused)
      const hasProof = evidence.taken > this.#takenThen
      if ([...refused.values()].some((one) => !one.isSure && !hasProof)) throw error
      if (refused.size > 0) {
        const given = [...refused].map(([name, one]) => [name, { row: one.row, error: one.error }] as const)
        await letters.add(new Map(given), { signal: context.signal })
      }
      await this.#send([], context)
      for (const one of refused.values())
        report(new Error(`a row was given up: ${one.error}`, { cause: one.row }))
      rows = rows.filter(({ name }) => !refused.has(name))
    }
    this.#failures = 0
    // What is written in the end is no dead letter any more.
    const names = rows.map(({ name }) => name)
    await letters.remove(names, { signal: context.signal })
  }

  async #apart(
    rows: readonly NamedRow<T>[],
    context: BatchContext,
    refused: Map<string, { readonly row: Row<T>; readonly error: string; readonly isSure: boolean }>,
  ): Promise<void> {
    try {
      await this.#send(rows, context)
    } catch (error) {
      if (this.#isOver(error, context)) throw error
      const [only, ...others] = rows
      if (only === undefined) return
      if (others.length === 0) {
        const isSure = this.#settings.writer.isAboutRow?.(error) === true
        refused.set(only.name, { row: only.row, error: wordsOf(error), isSure })
        return
      }
      const half = Math.ceil(rows.length / 2)
      await this.#apart(rows.slice(0, half), context, refused)
      await this.#apart(rows.slice(half), context, refused)
    }
  }

  /** Nothing is to be learnt about rows: also where a writer that knows of rows says that it cannot work at all. */
  #isOver(error: unknown, { signal }: BatchContext): boolean {
    const isOfNone = error instanceof ConfigurationError && this.#settings.writer.isAboutRow !== undefined
    return error instanceof BatchFencedError || isOfNone || signal.aborted
  }

  async #send(rows: readonly NamedRow<T>[], context: BatchContext): Promise<void> {
    const { writer, evidence, writeTimeoutMs } = this.#settings
    const those = rows.map(({ row }) => row)
    await timely(writeTimeoutMs, context.signal, (signal) => writer.write(those, { ...context, signal }))
    if (rows.length > 0) evidence.taken++
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
