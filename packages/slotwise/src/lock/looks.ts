/** A look at the servers is not to cost more than the request it is made for. */
export const LOOK_MS = 1000

/** Looks that begin after they are asked for. Those who ask while one is under way, which may have seen what was before, share the next. */
export class Looks<R = void> {
  readonly #look: () => Promise<R>
  #current: Promise<unknown> = Promise.resolve()
  #next: Promise<R> | undefined

  constructor(look: () => Promise<R>) {
    this.#look = look
  }

  /** @throws whatever the look does */
  anew(): Promise<R> {
    this.#next ??= this.#current
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        const current = this.#look()
        this.#current = current
        return current
      })
    return this.#next
  }
}
