import * as nodeRedis from 'redis'
import {
  ClientClosedError,
  ClientOfflineError,
  createClient,
  ErrorReply,
  RESP_TYPES,
  SocketClosedUnexpectedlyError,
} from 'redis'
import type { CheckedOptions } from '../redis/connect-options.js'
import type { Endpoint, Link, LinkEvents, OpenLink, Outcome, Outgoing } from '../redis/link.js'
import type { Reply } from '../redis/port.js'

type Settings = Pick<CheckedOptions, 'tls' | 'connectTimeoutMs'>

/** Links over node-redis, one plain client each: its cluster client would redirect and queue on its own. */
export function nodeRedisLinks(settings: Settings): OpenLink {
  return (endpoint, events) => new NodeRedisLink(endpoint, settings, events)
}

const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }

class NodeRedisLink implements Link {
  readonly endpoint: Endpoint
  readonly #settings: Settings
  readonly #events: LinkEvents
  #client: ReturnType<typeof clientOf>
  #closed = false

  constructor(endpoint: Endpoint, settings: Settings, events: LinkEvents) {
    this.endpoint = endpoint
    this.#settings = settings
    this.#events = events
    this.#client = this.#connect()
  }

  get ready(): boolean {
    return this.#client.isReady
  }

  // One write for all of them: the client gathers what is sent in one turn of the event loop.
  send(batch: readonly Outgoing[]): void {
    const client = this.#client
    for (const outgoing of batch) {
      const args = outgoing.command.map((arg) =>
        typeof arg === 'string' ? arg : arg instanceof Uint8Array ? asBuffer(arg) : String(arg),
      )
      const sent: Promise<unknown> = client.sendCommand(args, outgoing.binary ? BINARY : undefined)
      void sent.then(
        (reply) =>
          outgoing.settled(isExact(reply as Reply) ? { kind: 'reply', reply: reply as Reply } : ROUNDED),
        (error: unknown) => outgoing.settled(outcomeOf(error)),
      )
    }
  }

  // A connection that hangs never ends by itself, and the client would write to it for good.
  reset(): void {
    if (this.#closed) return
    const hung = this.#client
    this.#client = this.#connect()
    hung.destroy()
    this.#events.down(new Error('the connection was given up'))
  }

  close(): void {
    this.#closed = true
    if (this.#client.isOpen) this.#client.destroy()
  }

  #connect(): ReturnType<typeof clientOf> {
    const client = clientOf(this.endpoint, this.#settings)
    const isCurrent = () => client === this.#client && !this.#closed
    client.on('ready', () => {
      if (isCurrent()) this.#events.ready()
    })
    client.on('error', (error: unknown) => {
      // That it closed says less than why, which may have been said just before.
      if (isCurrent()) this.#events.down(error instanceof SocketClosedUnexpectedlyError ? undefined : error)
    })
    // It goes on trying, and says why it failed by its event.
    client.connect().catch(() => undefined)
    return client
  }
}

const ROUNDED: Outcome = {
  kind: 'unreadable',
  reason: 'an integer beyond 2^53, which node-redis rounds; let a script answer with it as text',
}

function isExact(reply: Reply): boolean {
  if (typeof reply === 'number') return Number.isSafeInteger(reply)
  return !Array.isArray(reply) || reply.every(isExact)
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof ErrorReply) return { kind: 'refused', message: error.message }
  if (error instanceof ClientClosedError || error instanceof ClientOfflineError)
    return { kind: 'unsent', cause: error }
  return { kind: 'lost', cause: error }
}

/**
 * RESP2 gives the same shapes from every version of client and server. Version 6 has to be told; version 5, which
 * speaks it unless told, would begin with HELLO 2 then, before anybody has logged in.
 */
const PROTOCOL = 'DEFAULT_RESP' in nodeRedis ? { RESP: 2 as const } : {}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function clientOf({ host, port }: Endpoint, { tls, connectTimeoutMs }: Settings) {
  return createClient({
    socket: {
      host,
      port,
      connectTimeout: connectTimeoutMs,
      reconnectStrategy: (times) => Math.random() * Math.min(1000, 25 * 2 ** Math.min(times, 10)),
      ...(tls === undefined ? {} : { ...tls, tls: true as const }),
    },
    ...PROTOCOL,
    // Nothing waits where no deadline reaches it, and the deadlines are the port's.
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 },
    // Whatever a connection begins with is the port's to send, logging in included.
    disableClientInfo: true,
  })
}
