import { ConfigurationError } from '../errors.js'
import { shown } from '../options.js'
import type { Argument } from './port.js'

/** Name and password of a user of the servers. */
export interface Credentials {
  /** @defaultValue the server's `default` user */
  readonly username?: string | undefined
  readonly password: string
  /**
   * How long a server takes them, in milliseconds, for tokens that run out. New ones are asked for when four fifths
   * of it have passed. @defaultValue for good
   */
  readonly validForMs?: number | undefined
}

type Source = Credentials | (() => Promise<Credentials>) | undefined

/** Asking again at once would only repeat a failure. */
const RETRY_MS = 1000

/** The credentials to log in with, asked for once and shared by all connections until they run out or are refused. */
export class Login {
  /** Called with new ones while older ones still hold, for connections that are open. */
  renewed: () => void = () => {}
  readonly #source: Source
  #present: Credentials | undefined
  #asking: Promise<Credentials> | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(source: Source) {
    this.#source = source
    if (typeof source !== 'function') this.#present = source
  }

  /** At once where they are known; a promise where the application has to be asked. */
  current(): Credentials | undefined | Promise<Credentials> {
    if (this.#present !== undefined || typeof this.#source !== 'function') return this.#present
    this.#asking ??= this.#ask(this.#source)
    return this.#asking
  }

  /** A server did not take them: the next who asks gets new ones, unless that has happened already. */
  refused(credentials: Credentials | undefined): void {
    if (typeof this.#source === 'function' && this.#present === credentials) this.#present = undefined
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #ask(source: () => Promise<Credentials>): Promise<Credentials> {
    try {
      const given: unknown = await source()
      const credentials = checked(given)
      this.#present = credentials
      if (credentials.validForMs !== undefined) this.#renewIn(credentials.validForMs * 0.8, source)
      return credentials
    } finally {
      this.#asking = undefined
    }
  }

  #renewIn(ms: number, source: () => Promise<Credentials>): void {
    clearTimeout(this.#timer)
    if (this.#closed) return
    const renew = () => {
      this.#asking ??= this.#ask(source)
      this.#asking.then(
        () => {
          this.renewed()
        },
        () => {
          this.#renewIn(RETRY_MS, source)
        },
      )
    }
    this.#timer = setTimeout(renew, ms).unref()
  }
}

function checked(given: unknown): Credentials {
  const { username, password, validForMs } = (given ?? {}) as Partial<Credentials>
  if (typeof password !== 'string') {
    throw new ConfigurationError(
      `credentials() must resolve with { username?, password }, got ${shown(given)}`,
    )
  }
  const isTime = validForMs === undefined || (Number.isFinite(validForMs) && validForMs > 0)
  if (!isTime) throw new ConfigurationError(`validForMs must be a number above 0, got ${shown(validForMs)}`)
  return { username, password, validForMs }
}

/** The command that logs in with them. */
export function authOf({ username, password }: Credentials): readonly [name: string, ...args: Argument[]] {
  return username === undefined ? ['AUTH', password] : ['AUTH', username, password]
}
