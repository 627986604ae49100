import { ReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import type { RedisPort } from '../redis/port.js'
import { slotOf } from '../slots.js'

const LOOK_MS = { min: 250, max: 10_000 }

/** What is known of the primaries' memory. */
export interface MemoryRoomSettings {
  /** From which part of its `maxmemory` on a primary has no room; 1 leaves it to the server. */
  readonly ratio: number
  /** Told once if a server does not say. */
  readonly report: (error: unknown) => void
}

/**
 * Whether primaries have room for more, by what they said last: they are asked again the sooner the less there is left, at most
 * ten seconds later. In between a server that is full says so itself. Nobody waits for a later look.
 */
export class MemoryRoom {
  readonly #port: RedisPort
  readonly #settings: MemoryRoomSettings
  /** Primaries without room. */
  #full: ReadonlySet<string> = new Set()
  #nextAt = Number.POSITIVE_INFINITY
  #isTold = false

  constructor(port: RedisPort, settings: MemoryRoomSettings) {
    this.#port = port
    this.#settings = settings
  }

  /** Whether the primary of the key has none. */
  isFullFor(key: Key): boolean {
    if (performance.now() >= this.#nextAt) {
      this.#nextAt = performance.now() + LOOK_MS.max
      this.look().catch(this.#settings.report)
    }
    if (this.#full.size === 0) return false
    const owner = this.#port.topology().ownerOf(slotOf(key))
    return owner !== undefined && this.#full.has(owner.id)
  }

  async look(): Promise<void> {
    const { ratio, report } = this.#settings
    if (ratio === 1) return
    const full = new Set<string>()
    let highest = 0
    for (const { node, result } of await this.#port.onEachPrimary(['INFO', 'memory'])) {
      if (result.status === 'rejected') {
        // One that is away serves nothing either.
        if (!(result.reason instanceof ReplyError) || this.#isTold) continue
        this.#isTold = true
        report(result.reason)
        continue
      }
      const used = usedIn(String(result.value))
      highest = Math.max(highest, used)
      if (used >= ratio) full.add(node.id)
    }
    this.#full = full
    const ms = Math.max(LOOK_MS.min, (LOOK_MS.max * (ratio - highest)) / ratio)
    this.#nextAt = performance.now() + ms
  }
}

/** Which part of `maxmemory`, by what counts towards it; none without one. */
function usedIn(info: string): number {
  const of = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  const most = of('maxmemory')
  return most === 0 ? 0 : (of('used_memory') - of('mem_not_counted_for_evict')) / most
}

/** Whether a server refused something because its memory is full; nothing was written then. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof ReplyError && /\bOOM command not allowed/.test(error.message)
}
