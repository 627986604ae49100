import { Command, Redis, type RedisOptions } from 'ioredis'
import type { CheckedOptions } from '../redis/connect-options.js'
import type { Endpoint, Link, LinkEvents, OpenLink, Outcome, Outgoing } from '../redis/link.js'
import type { Reply } from '../redis/port.js'
import { SteadyConnector } from './connector.js'

type Settings = Pick<CheckedOptions, 'tls' | 'connectTimeoutMs'>

/** Links over ioredis, one plain `Redis` each: its cluster client would redirect, queue and resend on its own. */
export function ioredisLinks(settings: Settings): OpenLink {
  return (endpoint, events) => new IoredisLink(endpoint, settings, events)
}

const TEXT = { replyEncoding: 'utf8' } as const
const BYTES = { replyEncoding: null } as const
/**
 * As ioredis spells them itself: it looks each name up several times, in lower case. Those of which it makes something else than
 * they are, such as objects of what HGETALL answers, are not among them.
 */
const NAMES: ReadonlyMap<string, string> = new Map(
  ['EVALSHA', 'GET', 'HGET', 'HMGET', 'PTTL', 'SET'].map((name) => [name, name.toLowerCase()]),
)
const NOT_SENT = /^Stream isn't writeable/

class IoredisLink implements Link {
  readonly endpoint: Endpoint
  readonly #redis: Redis

  constructor(endpoint: Endpoint, settings: Settings, events: LinkEvents) {
    this.endpoint = endpoint
    this.#redis = new Redis(optionsOf(endpoint, settings))
    this.#redis.on('ready', () => {
      events.ready()
    })
    this.#redis.on('error', (error: unknown) => {
      events.down(error)
    })
    this.#redis.on('close', () => {
      events.down(undefined)
    })
  }

  get ready(): boolean {
    return this.#redis.status === 'ready'
  }

  send(batch: readonly Outgoing[]): void {
    const { stream } = this.#redis
    const chunks: (string | Buffer)[] = []
    // What ioredis's own pipelines hand to sendCommand, so that it collects what it would have written.
    const collector = {
      isPipeline: true as const,
      destination: { redis: { stream } },
      write: (chunk: string | Buffer) => chunks.push(chunk),
    }
    for (const outgoing of batch) this.#sendOne(outgoing, collector)
    // Nothing was writable, and everybody has been told so.
    if (chunks.length === 0) return
    // One write for the whole batch instead of one for each command.
    if (chunks.every((chunk) => typeof chunk === 'string')) stream.write(chunks.join(''))
    else
      stream.write(
        Buffer.concat(chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))),
      )
  }

  #sendOne(outgoing: Outgoing, collector: object): void {
    const { command: words, binary } = outgoing
    const values: (string | Buffer)[] = []
    let isText = true
    for (let i = 1; i < words.length; i++) {
      const arg = words[i]
      if (arg instanceof Uint8Array) {
        values.push(asBuffer(arg))
        isText = false
      } else values.push(typeof arg === 'string' ? arg : String(arg))
    }
    const name = NAMES.get(words[0]) ?? words[0]
    const encoding = binary ? BYTES : TEXT
    const command = new Command(name, isText ? [] : values, encoding)
    // Given to the constructor they are flattened, which takes longer than to write them.
    if (isText) command.args = values
    const sent = this.#redis.sendCommand(command, collector as never) as Promise<Reply>
    void sent.then(
      (reply) => outgoing.settled({ kind: 'reply', reply }),
      (error: unknown) => outgoing.settled(outcomeOf(error)),
    )
  }

  reset(): void {
    const { stream } = this.#redis
    this.#redis.disconnect(true)
    // Ending it waits for the other side, which says nothing any more.
    stream.destroy()
  }

  close(): void {
    this.#redis.disconnect()
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Error) {
    if (error.name === 'ReplyError') return { kind: 'refused', message: error.message }
    if (NOT_SENT.test(error.message)) return { kind: 'unsent', cause: error }
  }
  return { kind: 'lost', cause: error }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function optionsOf({ host, port }: Endpoint, { tls, connectTimeoutMs }: Settings) {
  return {
    host,
    port,
    Connector: SteadyConnector as unknown as NonNullable<RedisOptions['Connector']>,
    // RESP2 gives the same shapes from every version of client and server.
    protocol: 2,
    // Whatever a connection begins with is the port's to send, logging in included.
    disableClientInfo: true,
    connectTimeout: connectTimeoutMs,
    ...(tls === undefined ? {} : { tls }),
    // A command that failed must not run later behind our back, nor wait where no deadline reaches it.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // With any other number, what was under way when a connection broke would never be settled.
    maxRetriesPerRequest: 0,
    // LOADING is answered by the server and handled as "not executed"; no extra INFO for each connection.
    enableReadyCheck: false,
    retryStrategy: (times) => Math.random() * Math.min(1000, 25 * 2 ** Math.min(times, 10)),
  } as const satisfies RedisOptions
}
