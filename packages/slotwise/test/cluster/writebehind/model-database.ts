import { BatchFencedError } from '../../../src/errors.js'
import type { Claim, Position, Row, Writer } from '../../../src/writebehind/index.js'
import { isSame, NOWHERE } from '../../../src/writebehind/journal.js'

/** What the rows of these tests are: a version that only grows. */
export interface Versioned {
  readonly version: number
  readonly n?: number
}

/** A database in memory that keeps epoch and position beside its rows, as `postgresWriter` does. */
export class ModelDatabase {
  readonly rows = new Map<string, Versioned>()
  /** Rows that something older was written over. */
  readonly backs: string[] = []
  /** Rows that it does not take. */
  readonly refused = new Set<string>()
  readonly #states = new Map<number, { epoch: bigint; position: Position }>()

  /** `before` a write may wait, or never come back. */
  writer(before: (rows: readonly Row<Versioned>[]) => Promise<void> = async () => {}): Writer<Versioned> {
    return {
      claim: async (partition): Promise<Claim> => {
        const { epoch, position } = this.#states.get(partition) ?? { epoch: 0n, position: NOWHERE }
        const claim = { epoch: epoch + 1n, position }
        this.#states.set(partition, claim)
        return await Promise.resolve(claim)
      },
      write: async (rows, { partition, epoch, from, to }) => {
        await before(rows)
        const state = this.#states.get(partition)
        if (state?.epoch === epoch && isSame(state.position, to) && !isSame(from, to)) return
        if (state?.epoch !== epoch || !isSame(state.position, from)) throw new BatchFencedError('claimed')
        const bad = rows.find(({ id }) => this.refused.has(String(id)))
        if (bad !== undefined) throw new RangeError(`${String(bad.id)} does not fit`)
        state.position = to
        for (const row of rows) this.#apply(row)
      },
      isAboutRow: (error) => error instanceof RangeError,
    }
  }

  #apply(row: Row<Versioned>): void {
    const id = String(row.id)
    if (row.deleted) {
      this.rows.delete(id)
      return
    }
    const before = this.rows.get(id)
    if (before !== undefined && before.version > row.value.version) this.backs.push(id)
    this.rows.set(id, row.value)
  }
}
