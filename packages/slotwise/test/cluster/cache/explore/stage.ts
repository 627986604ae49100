import { type Gate, gate } from '../gate.js'

/** How a command goes. */
export type Way =
  | 'plain'
  /** It is executed, and its answer does not arrive. */
  | 'reply lost'
  /** It does not arrive, or nobody is there to take it. */
  | 'call lost'
  /** Its caller gives it up, and it is executed later. */
  | 'late'

/** Somebody who stands still until it is his turn. */
export interface Standing {
  readonly who: string
  readonly what: string
  /** In which ways he can go on. */
  readonly ways: readonly Way[]
  /** Waits for somebody else: is only asked when something has happened. */
  readonly patientSince?: number
  readonly gate: Gate<Way>
}

/** Everybody's next step: each command of each process, each look at the database, each answer that is late. */
export class Stage {
  readonly #standing: Standing[] = []
  readonly #dead = new Set<string>()
  /** Grows with everything that changes what others may wait for. */
  changes = 0
  /** Calls that are at a server. */
  underWay = 0

  pause(who: string, what: string, ways: readonly Way[] = ['plain']): Promise<Way> {
    const here = gate<Way>()
    // The dead wait for ever.
    if (!this.#dead.has(who)) this.#standing.push({ who, what, ways, gate: here })
    return here.passed
  }

  /** Waits until something has changed and it is his turn, or until he is woken. */
  async wait(who: string, woken: Promise<void> | undefined): Promise<void> {
    const here = gate<Way>()
    const standing = {
      who,
      what: 'ask again',
      ways: ['plain'] as const,
      patientSince: this.changes,
      gate: here,
    }
    if (!this.#dead.has(who)) this.#standing.push(standing)
    await Promise.race([here.passed, ...(woken === undefined ? [] : [woken])])
    const at = this.#standing.indexOf(standing)
    if (at >= 0) this.#standing.splice(at, 1)
  }

  kill(who: string): void {
    this.#dead.add(who)
    for (let i = this.#standing.length - 1; i >= 0; i--) {
      if (this.#standing[i]?.who === who) this.#standing.splice(i, 1)
    }
  }

  isDead(who: string): boolean {
    return this.#dead.has(who)
  }

  /** Who can go on; of those who wait for others only if something has happened since they asked. */
  ready(): readonly Standing[] {
    return this.#standing.filter(
      ({ patientSince }) => patientSince === undefined || patientSince < this.changes,
    )
  }

  /** Whether anybody waits for others. */
  get isWaiting(): boolean {
    return this.#standing.length > 0
  }

  /** Lets one go on, and everything that follows from it until all stand still again. */
  async open(one: Standing, way: Way): Promise<void> {
    this.#standing.splice(this.#standing.indexOf(one), 1)
    one.gate.open(way)
    await this.settled()
  }

  async settled(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.underWay > 0)
  }
}
