import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import type { Answer, Change } from './journal.js'
import { isOutOfMemory, MemoryRoom } from './memory-room.js'
import type { Settings } from './options.js'
import type { Partitions } from './partitions.js'
import { Written } from './written.js'

/** What accepting needs of its instance. */
export interface AcceptingSettings<T>
  extends Pick<Settings<T>, 'highWater' | 'onFull' | 'safety' | 'maxMemoryRatio' | 'report'> {
  readonly partitions: Partitions<T>
  /** Whether servers are as they must be. */
  readonly ready: () => Promise<void>
  /** Tells whoever flushes a partition in this process, if anybody does. */
  readonly hurry: (partition: number) => void
}

const DEADLINE_MS = 3000

/**
 * Takes changes into the journals, and holds back who brings them: by a refusal where a journal or its server is full, and under
 * `'write-through'` by letting them wait, beyond `highWater`, until what they have brought is written.
 */
export class Accepting<T> {
  readonly room: MemoryRoom
  readonly #port: RedisPort
  readonly #settings: AcceptingSettings<T>
  readonly #written = new Map<number, Written>()

  constructor(port: RedisPort, settings: AcceptingSettings<T>) {
    this.#port = port
    this.#settings = settings
    this.room = new MemoryRoom(port, { ratio: settings.maxMemoryRatio, report: settings.report })
  }

  async accept(
    name: string,
    change: Change,
    mark: string | undefined,
    { signal, deadlineMs }: CallOptions,
  ): Promise<Answer & { readonly isWritten?: boolean }> {
    const { partitions, ready, safety, onFull, highWater } = this.#settings
    const patienceMs = deadlineMs ?? this.#port.setup?.commandTimeoutMs ?? DEADLINE_MS
    const until = performance.now() + patienceMs
    try {
      await ready()
    } catch (error) {
      if (isOutOfMemory(error)) return { state: 'out of memory' }
      throw error
    }
    const partition = partitions.of(name)
    const { journal } = partitions.at(partition)
    if (this.room.isFullFor(journal.key)) return { state: 'out of memory' }
    const options = { signal, deadlineMs, ...safety, patienceMs: onFull === 'reject' ? 0 : patienceMs }
    const answer = await journal.accept(name, change, mark, options)
    if (onFull === 'reject' || answer.state !== 'accepted' || answer.place <= highWater) return answer
    const line = { number: answer.number, mark: answer.mark, name }
    const isWritten = await this.#writtenIn(partition).wait(line, until - performance.now(), signal)
    return { ...answer, isWritten }
  }

  #writtenIn(partition: number): Written {
    let found = this.#written.get(partition)
    if (found === undefined) {
      const { partitions, hurry } = this.#settings
      const { journal, letters } = partitions.at(partition)
      found = new Written(journal, letters, () => hurry(partition))
      this.#written.set(partition, found)
    }
    return found
  }
}
