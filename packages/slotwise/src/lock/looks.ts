/** Looks that begin after they are asked for. Those who ask while one is under way, which may have seen what was before, share the next. */
export class Looks {
  readonly #look: () => Promise<void>
  #current: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(look: () => Promise<void>) {
    this.#look = look
  }

  /** @throws whatever the look does */
  anew(): Promise<void> {
    this.#next ??= this.#current
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        this.#current = this.#look()
        return this.#current
      })
    return this.#next
  }
}
