import { type Gate, gate, turns } from './gate.js'

/**
 * Something that runs one step at a time: from one `pause` to the next. Tests enumerate the orders in which the
 * steps of several actors can happen.
 */
export class Actor {
  #here: Gate | undefined
  #event: Gate = gate()
  #done = false

  /** Waits for its next step. */
  readonly pause = (): Promise<void> => {
    const here = gate()
    this.#here = here
    this.#event.open()
    return here.passed
  }

  get done(): boolean {
    return this.#done
  }

  /** Begins, up to the first pause. `undefined` once it has finished or for ever stands still. */
  async begin(run: () => Promise<unknown>): Promise<void> {
    const finish = (): void => {
      this.#done = true
      this.#event.open()
    }
    void run().then(finish, finish)
    await this.#event.passed
  }

  /** Goes on to the next pause, or to the end; nothing if it has come there already. */
  async step(): Promise<void> {
    const here = this.#here
    if (here === undefined) return
    this.#here = undefined
    this.#event = gate()
    here.open()
    await this.#event.passed
    await turns(1)
  }
}

/** Every order in which actors with these numbers of steps can take them. */
export function orders(steps: readonly number[]): number[][] {
  if (steps.every((count) => count === 0)) return [[]]
  return steps.flatMap((count, actor) =>
    count === 0 ? [] : orders(steps.with(actor, count - 1)).map((rest) => [actor, ...rest]),
  )
}
