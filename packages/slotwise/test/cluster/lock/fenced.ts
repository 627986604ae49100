/** A resource that compares tokens, and remembers who wrote: what the locks protect in these tests. */
export class FencedResource {
  #largest = 0n
  readonly accepted: { readonly token: bigint; readonly by: string }[] = []
  refused = 0

  /** Takes a write unless a larger token has been seen. */
  write(token: bigint, by: string): boolean {
    if (token < this.#largest) {
      this.refused++
      return false
    }
    this.#largest = token
    this.accepted.push({ token, by })
    return true
  }

  /** Whether the writes of two holders are mixed, which a lock exists to prevent. */
  interleaved(): boolean {
    const seen = new Set<string>()
    let last: string | undefined
    for (const { by } of this.accepted) {
      if (by === last) continue
      if (seen.has(by)) return true
      seen.add(by)
      last = by
    }
    return false
  }
}
