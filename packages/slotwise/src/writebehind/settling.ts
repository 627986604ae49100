import { BatchFencedError, ConfigurationError } from '../errors.js'
import type { Burial, DeadLetters } from './dead-letters.js'
import type { Safety } from './durability.js'
import type { Owner, Position } from './journal.js'
import type { Row } from './rows.js'
import { timely } from './timely.js'
import type { BatchContext, Writer } from './writer.js'

/** A row under its name in the journal. */
export interface NamedRow<T> {
  readonly name: string
  readonly row: Row<T>
  /** Of its last line. */
  readonly tag: string
  /** Whether it was given up before. */
  readonly hasLetter: boolean
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
  /** What is given up has to be so safe. */
  readonly safety: Safety
  /** Told of each row that is given up. */
  readonly report: (error: unknown) => void
}

/** A batch that is written. */
export interface Settled {
  /** Where the journal is now. */
  readonly to: Position
  /** How many rows were given up. */
  readonly given: number
  /** How long the database took for the batch; `undefined` if it did not take it as a whole. */
  readonly ms: number | undefined
}

interface Refusal {
  readonly error: string
  readonly isSure: boolean
}
type Refused<T> = Map<NamedRow<T>, Refusal>

/** So often a batch fails before its rows are tried apart, where nobody says that it is about a row. */
const PATIENCE = 5

/**
 * Writes the batches of one partition, and finds out by halves which rows the database does not take: those are given up, and
 * the others go on.
 *
 * A row is given up when the writer says that the error is about it, or when it has failed often and the database has taken others
 * between the last two times. As long as it takes nothing, nothing is given up: then it is the database.
 */
export class Settling<T> {
  readonly #settings: SettlingSettings<T>
  /** Since the batch before was written. */
  #failures = 0
  /** What the database had taken of all when this failed the last time. */
  #takenThen = 0
  /** Rows that were passed over, and not written since. */
  readonly #passed = new Set<string>()

  constructor(settings: SettlingSettings<T>) {
    this.#settings = settings
  }

  /** @throws whatever the writer throws: the batch is to be tried again */
  async write(rows: readonly NamedRow<T>[], context: BatchContext, owner: Owner): Promise<Settled> {
    const { evidence, letters, writer } = this.#settings
    const { signal, to } = context
    // What waits is no dead letter. Before it is written: whoever dies afterwards could not tell that it was.
    const marked = rows.filter(({ hasLetter }) => hasLetter).map(({ name }) => name)
    await letters.forget(owner, marked, { signal })
    const from = performance.now()
    try {
      await this.#send(rows, context)
      this.#failures = 0
      const ms = performance.now() - from
      await this.#forgetPassed(rows, owner, signal)
      return { to, given: 0, ms }
    } catch (error) {
      if (this.#isOver(error, context)) throw error
      this.#failures++
      // What it took of others before the failure before this says nothing: it may have gone away since.
      const takenBefore = this.#takenThen
      this.#takenThen = evidence.taken
      const isSure = writer.isAboutRow?.(error) === true
      if (rows.length === 0 || (!isSure && this.#failures < PATIENCE)) throw error
      const refused: Refused<T> = new Map()
      await this.#apart(rows, { ...context, to: context.from }, refused)
      const hasProof = this.#failures >= PATIENCE && evidence.taken > takenBefore
      if ([...refused.values()].some((one) => !one.isSure && !hasProof)) throw error
      const settled = await this.#giveUp(refused, context, owner)
      this.#failures = 0
      return settled
    }
  }

  /** The letters first, the position then: whoever dies in between leaves both letters and lines, and the rows are tried again. */
  async #giveUp(refused: Refused<T>, context: BatchContext, owner: Owner): Promise<Settled> {
    const { letters, safety, report } = this.#settings
    const burials = [...refused].map(
      ([{ name, tag, row }, { error }]): Burial<T> => ({ name, tag, row, error }),
    )
    let { to } = context
    let given = burials
    if (burials.length > 0) {
      const upTo = context.to.written.number
      const { names, last } = await letters.bury(owner, burials, upTo, safety, { signal: context.signal })
      given = burials.filter(({ name }) => names.has(name))
      for (const { name } of burials) if (!names.has(name)) this.#passed.add(name)
      // What has changed is passed over for the sake of its new line: where a failover takes that back, it is not.
      if (given.length < burials.length) to = { ...to, seen: last }
    }
    await this.#send([], { ...context, to })
    for (const { error, row } of given) report(new Error(`a row was given up: ${error}`, { cause: row }))
    return { to, given: given.length, ms: undefined }
  }

  /** What is there in their place by now is what anybody is told of. */
  async #forgetPassed(rows: readonly NamedRow<T>[], owner: Owner, signal: AbortSignal): Promise<void> {
    if (this.#passed.size === 0) return
    const names = rows.map(({ name }) => name).filter((name) => this.#passed.delete(name))
    await this.#settings.letters.forget(owner, names, { signal })
  }

  async #apart(rows: readonly NamedRow<T>[], context: BatchContext, refused: Refused<T>): Promise<void> {
    try {
      await this.#send(rows, context)
    } catch (error) {
      if (this.#isOver(error, context)) throw error
      const [only, ...others] = rows
      if (only === undefined) return
      if (others.length === 0) {
        const isSure = this.#settings.writer.isAboutRow?.(error) === true
        refused.set(only, { error: wordsOf(error), isSure })
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

/** Some databases repeat in their errors what they were given, and letters lie in the memory of a server. */
const MOST_WORDS = 1000

function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, MOST_WORDS)
}
