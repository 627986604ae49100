import { ConfigurationError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { restOf } from '../redis/readiness.js'
import type { AcceptOptions, Answer, Change } from './journal.js'
import type { KnownLayout } from './known-layout.js'
import { isOutOfMemory, MemoryRoom } from './memory-room.js'
import type { Settings } from './options.js'
import type { Partitions } from './partitions.js'
import { openJournal } from './sealing.js'
import { Written } from './written.js'

/** What accepting needs of its instance. */
export interface AcceptingSettings<T>
  extends Pick<Settings<T>, 'name' | 'highWater' | 'onFull' | 'safety' | 'maxMemoryRatio' | 'report'> {
  readonly partitions: Partitions<T>
  readonly known: KnownLayout
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
    const { partitions, safety, onFull, highWater } = this.#settings
    const patienceMs = deadlineMs ?? this.#port.setup?.commandTimeoutMs ?? DEADLINE_MS
    const until = performance.now() + patienceMs
    const { replicas, fsync } = safety
    const waitsMs = onFull === 'reject' ? 0 : patienceMs
    const options = { signal, deadlineMs, replicas, fsync, patienceMs: waitsMs }
    const answer = await this.journal(name, change, mark, options)
    if (onFull === 'reject' || answer.state !== 'accepted' || answer.place <= highWater) return answer
    const line = { number: answer.number, mark: answer.mark, name }
    const isWritten = await this.#writtenIn(partitions.of(name)).wait(line, until - performance.now(), signal)
    return { ...answer, isWritten }
  }

  /**
   * The same, and nobody waits until it is written.
   *
   * @throws ConfigurationError journals are those of another number of partitions
   */
  async journal(
    name: string,
    change: Change,
    mark: string | undefined,
    options: AcceptOptions,
  ): Promise<Answer> {
    const settings = this.#settings
    const journal = settings.partitions.journalOf(name)
    const from = performance.now()
    const left = () => restOf(options, performance.now() - from)
    let refused: string | undefined
    let isOpened = false
    for (;;) {
      try {
        await settings.known.ready(left())
      } catch (error) {
        if (isOutOfMemory(error)) return { state: 'out of memory' }
        throw error
      }
      if (this.room.isFullFor(journal.key)) return { state: 'out of memory' }
      const layout = settings.known.token
      if (layout === refused) {
        // A failover right after a change may have taken back what opened it, which is done once all that there was is written.
        if (isOpened || (await openJournal(journal, layout, { ...options, ...left() })) !== layout) {
          throw new ConfigurationError(`${settings.name} has journals of another number of partitions`)
        }
        isOpened = true
      }
      const { signal, replicas = 0, fsync = false, patienceMs = 0 } = options
      const { deadlineMs } = left()
      const sending = { signal, deadlineMs, replicas, fsync, patienceMs, layout }
      const answer = await journal.accept(name, change, mark, sending)
      if (answer.state !== 'foreign') return answer
      // The number was changed, perhaps there and back, since this process looked.
      refused = layout
      settings.known.lookAgain()
    }
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
