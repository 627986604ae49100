/** What histories were made of. Short ones, and such in which nobody is refused, show little. */
export class Tally {
  #histories = 0
  #calls = 0
  #decided = 0
  #refused = 0

  /** Counts one history; of its calls some were decided, and some of those refused. */
  add({
    calls,
    decided,
    refused,
  }: {
    readonly calls: number
    readonly decided: number
    readonly refused: number
  }): void {
    this.#histories++
    this.#calls += calls
    this.#decided += decided
    this.#refused += refused
  }

  /** What they have too little of: fifty calls in each on average, and a fifth of all decisions refused. */
  lacking(): readonly string[] {
    const calls = this.#calls / this.#histories
    const refused = this.#refused / this.#decided
    return [
      ...(calls >= 50 ? [] : [`${calls} calls in each history`]),
      ...(refused >= 0.2 ? [] : [`${refused} of all decisions refused`]),
    ]
  }
}
