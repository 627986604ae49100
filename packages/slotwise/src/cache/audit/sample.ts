const MILLION = 1_000_000
const TURN_MS = 3_600_000

/**
 * A share of all keys: by key and not by event, so that all that happens to one of them is known, and the same ones in every
 * process. After an hour, others; processes change over at the same time as far as their clocks agree.
 */
export class Sample {
  readonly #ppm: number
  #turn = turnAt(Date.now())

  constructor(ppm: number) {
    this.#ppm = ppm
  }

  /** To be called now and then: to ask for the time at each hit would cost as much as all the rest. */
  turn(wall: number): void {
    this.#turn = turnAt(wall)
  }

  has(key: string): boolean {
    return this.#ppm >= MILLION || hashOf(key, this.#turn) % MILLION < this.#ppm
  }
}

const turnAt = (wall: number): number => Math.floor(wall / TURN_MS)

/** FNV-1a, with the last step of MurmurHash3, without which keys that end alike are sampled alike. */
function hashOf(key: string, salt: number): number {
  let hash = 0x811c9dc5 ^ salt
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
