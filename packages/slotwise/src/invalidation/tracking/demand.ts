/** Whether anybody wants to know, for several who are each to hear of it. */
export class Demand {
  /** To be set by whoever wants to know. On every local hit, so it is no method. */
  isRaised = true
  #round = 0

  /** For one of those who hear of it: whether it has been raised since this was last asked; at first it has. */
  listener(): () => boolean {
    let heard = -1
    return () => {
      if (this.isRaised) {
        this.isRaised = false
        this.#round++
      }
      const isNew = heard < this.#round
      heard = this.#round
      return isNew
    }
  }
}
