import type { OutboxEvent } from './event.js'
import type { OutboxHandling, Settings } from './options.js'

/** What a handler did with a batch; `undefined` when it has failed, and is to be asked again. */
export type Handled = ReadonlyMap<OutboxEvent, string> | undefined

/** Hands events to the handler, never a second batch while it has not ended with the one before. */
export class Handing {
  readonly #settings: Settings
  readonly #handler: NonNullable<Settings['handler']>
  readonly #idle: () => void
  #isBusy = false

  constructor(settings: Settings, handler: NonNullable<Settings['handler']>, idle: () => void) {
    this.#settings = settings
    this.#handler = handler
    this.#idle = idle
  }

  /** The events that it gave up, with the reasons. Never rejects, and resolves in time whatever the handler does. */
  async hand(events: readonly OutboxEvent[], signal: AbortSignal): Promise<Handled> {
    if (this.#isBusy || signal.aborted) return undefined
    const { handlerTimeoutMs, report } = this.#settings
    const aside = new Map<OutboxEvent, string>()
    const ended = new AbortController()
    const handling: OutboxHandling = {
      signal: ended.signal,
      setAside: (event, reason) => void aside.set(event, reason),
    }
    const stop = () => ended.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    const timer = setTimeout(
      () => ended.abort(new Error(`the handler has not ended within ${handlerTimeoutMs} ms`)),
      handlerTimeoutMs,
    ).unref()
    const given = new Promise<never>((_, reject) => {
      ended.signal.addEventListener('abort', () => reject(ended.signal.reason), { once: true })
    })
    try {
      await Promise.race([this.#run(events, handling), given])
      return aside
    } catch (error) {
      // That one who was told to end has not done its work is no news.
      if (signal.reason === undefined) report(error, 'handle')
      return undefined
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }

  async #run(events: readonly OutboxEvent[], handling: OutboxHandling): Promise<void> {
    this.#isBusy = true
    try {
      await this.#handler(events, handling)
    } finally {
      this.#isBusy = false
      if (handling.signal.aborted) this.#idle()
    }
  }
}
