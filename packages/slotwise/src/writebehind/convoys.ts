import type { RedisPort } from '../redis/port.js'

/** With so many changes under way at a primary, those that come wait for an answer; with fewer, waiting costs more than it spares. */
const CROWD = 4
/** They wait so long at most: more than an answer takes where all is well. */
const GATHER_MS = 1

/** Who has something to send. */
export interface Convoyed {
  send(): void
}

/**
 * Where much goes to one primary, it goes together: while enough is under way there, what comes waits for the answer, so that the more
 * there is, the less each costs, in system calls too.
 */
export class Convoy {
  readonly #waiting = new Set<Convoyed>()
  #underWay = 0
  #isSoon = false
  #timer: NodeJS.Timeout | undefined

  /** Lets it be sent, soon. */
  join(one: Convoyed): void {
    this.#waiting.add(one)
    if (this.#underWay < CROWD) this.#goSoon()
    else this.#timer ??= setTimeout(this.#go, GATHER_MS)
  }

  /** It has been sent otherwise. */
  leave(one: Convoyed): void {
    this.#waiting.delete(one)
  }

  departed(changes: number): void {
    this.#underWay += changes
  }

  arrived(changes: number): void {
    this.#underWay -= changes
    if (this.#underWay < CROWD && this.#waiting.size > 0) this.#goSoon()
  }

  /** Once all that follows from one batch of replies has been said. */
  #goSoon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    process.nextTick(this.#go)
  }

  readonly #go = (): void => {
    this.#isSoon = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    const all = [...this.#waiting]
    this.#waiting.clear()
    for (const one of all) one.send()
  }
}

const convoys = new WeakMap<RedisPort, Map<string, Convoy>>()

/** That of whoever owns a slot: one for all who use the port. */
export function convoyTo(port: RedisPort, slot: number): Convoy {
  let all = convoys.get(port)
  if (all === undefined) {
    all = new Map()
    convoys.set(port, all)
  }
  const owner = port.topology().ownerOf(slot)?.id ?? ''
  let found = all.get(owner)
  if (found === undefined) {
    found = new Convoy()
    all.set(owner, found)
  }
  return found
}
