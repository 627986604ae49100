import type { RecordedHold } from '../../../src/testing/faults/index.js'

/** What the lock protects: it compares tokens, and takes everything from locks that have none. */
export class Resource {
  #largest = -1n

  write(token: bigint | undefined, hold: RecordedHold): boolean {
    const accepted = token === undefined || token >= this.#largest
    if (accepted && token !== undefined) this.#largest = token
    hold.wrote(accepted)
    return accepted
  }
}
