import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import {
  ClosedError,
  ConfigurationError,
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
  type SlotwiseError,
  UnexpectedReplyError,
} from '../errors.js'
import { addressOf } from './address.js'
import { encodeCommand, RespParser, type WireReply } from './resp.js'

/** Where a server is and how to get in. */
export interface WireOptions {
  readonly host: string
  readonly port: number
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** `true` for TLS with the system's authorities. */
  readonly tls?: boolean | ConnectionOptions | undefined
  /** Bound on connecting, logging in included, and on each command that names none. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Shown by CLIENT LIST. */
  readonly clientName?: string | undefined
  /** @defaultValue `2` */
  readonly protocol?: 2 | 3 | undefined
  /** Hears what the server sends unasked, in RESP3. */
  readonly onPush?: ((message: readonly WireReply[]) => void) | undefined
  /** Hears once that the connection is lost, or closed. */
  readonly onEnd?: ((reason: SlotwiseError) => void) | undefined
}

/** A command: its name, then its arguments. */
export type WireCommand = readonly [name: string, ...args: (string | number | bigint | Uint8Array)[]]

interface Waiting {
  readonly resolve: (reply: WireReply) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
  /** The push that answers it in the place of a reply: kind and channel. */
  readonly push?: readonly [kind: string, channel: string] | undefined
}

/**
 * One connection to one server, for what must speak to servers before there is a client. It follows no
 * redirection, repeats nothing and never reconnects: when it is lost, it stays lost.
 */
export class WireClient {
  /** `host:port` */
  readonly node: string
  /** The address that its name led to, of however many it has. */
  readonly ip: string | undefined
  readonly #socket: Socket
  readonly #timeoutMs: number
  readonly #onEnd: ((reason: SlotwiseError) => void) | undefined
  /** In the order of sending, which is the order of answers. One that gave up keeps its place. */
  readonly #waiting: Waiting[] = []
  #lost: SlotwiseError | undefined

  /**
   * Connects, logs in and makes sure that Redis answers.
   *
   * @throws RedisUnavailableError nobody answers there in time
   * @throws ConfigurationError it answers, but not to this name and password, or not without TLS
   * @throws UnexpectedReplyError it is not Redis
   */
  static async connect(options: WireOptions): Promise<WireClient> {
    const { signal, timeoutMs } = options
    signal?.throwIfAborted()
    const until = performance.now() + timeoutMs
    const client = new WireClient(options, await open(options))
    const giveUp = () => client.close()
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      await client.#greet(options, () => Math.max(1, until - performance.now()))
      return client
    } catch (error) {
      client.close()
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  private constructor(options: WireOptions, socket: Socket) {
    this.node = addressOf(options)
    this.ip = socket.remoteAddress
    this.#socket = socket
    this.#timeoutMs = options.timeoutMs
    this.#onEnd = options.onEnd
    const parser = new RespParser(
      (reply) => this.#answer(reply),
      (message) => {
        this.#confirm(message)
        options.onPush?.(message)
      },
    )
    socket.on('data', (chunk: Buffer) => {
      try {
        parser.push(chunk)
      } catch (error) {
        this.#lose(
          new UnexpectedReplyError(
            `${this.node} does not speak as Redis does: ${error instanceof Error ? error.message : String(error)}`,
            { cause: error },
          ),
        )
      }
    })
    socket.on('error', (error) => this.#lose(this.#gone(error)))
    socket.on('close', () => this.#lose(this.#gone()))
  }

  /** Whether it has ended, and answers nothing more. */
  get ended(): boolean {
    return this.#lost !== undefined
  }

  /** Nothing that was sent is still to be answered. */
  get idle(): boolean {
    return this.#waiting.length === 0
  }

  /**
   * The server's answer to one command.
   *
   * @throws ReplyError the server refused it
   * @throws OutcomeUnknownError sent, but no answer came in time, or the connection broke
   */
  async call(command: WireCommand, timeoutMs = this.#timeoutMs): Promise<WireReply> {
    const [reply = null] = await this.pipeline([command], timeoutMs)
    if (reply instanceof ReplyError) throw reply
    return reply
  }

  /** Sends all at once; the answers in their order, refusals among them as values. */
  pipeline(commands: readonly WireCommand[], timeoutMs = this.#timeoutMs): Promise<readonly WireReply[]> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    const replies = commands.map(([name]) => this.#sent(name, timeoutMs))
    this.#socket.write(Buffer.concat(commands.map(encodeCommand)))
    return Promise.all(replies)
  }

  /**
   * Subscribes or unsubscribes in RESP3, where a push is the answer and only a refusal comes as a reply.
   *
   * @throws ReplyError the server refused it
   */
  async subscription(command: 'SSUBSCRIBE' | 'SUNSUBSCRIBE', channel: string): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    const reply = this.#sent(command, this.#timeoutMs, [command.toLowerCase(), channel])
    this.#socket.write(encodeCommand([command, channel]))
    const answer = await reply
    if (answer instanceof ReplyError) throw answer
  }

  /** Ends the connection at once; what is under way fails. Idempotent. */
  close(): void {
    this.#lose(new ClosedError(`the connection to ${this.node} was closed`))
  }

  #sent(name: string, timeoutMs: number, push?: Waiting['push']): Promise<WireReply> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const message = `${this.node} did not answer ${name} within ${Math.round(timeoutMs)} ms`
        reject(new OutcomeUnknownError(message, { node: this.node }))
      }, timeoutMs)
      this.#waiting.push({ resolve, reject, timer, push })
    })
  }

  /** Pushes and replies come in the order of the commands, so only the first that waits can be meant. */
  #confirm([kind, channel]: readonly WireReply[]): void {
    const [first] = this.#waiting
    if (first?.push !== undefined && String(kind) === first.push[0] && String(channel) === first.push[1]) {
      this.#answer(null)
    }
  }

  #answer(reply: WireReply): void {
    const first = this.#waiting.shift()
    if (first === undefined) {
      this.#lose(new UnexpectedReplyError(`${this.node} answered without having been asked`))
      return
    }
    clearTimeout(first.timer)
    first.resolve(reply)
  }

  #lose(reason: SlotwiseError): void {
    if (this.#lost !== undefined) return
    this.#lost = reason
    this.#socket.destroy()
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer)
      reject(reason)
    }
    this.#onEnd?.(reason)
  }

  #gone(cause?: Error): OutcomeUnknownError {
    return new OutcomeUnknownError(`${this.node} closed the connection${cause ? `: ${cause.message}` : ''}`, {
      node: this.node,
      cause,
    })
  }

  async #greet(options: WireOptions, leftMs: () => number): Promise<void> {
    const { username, password, tls, clientName, protocol } = options
    try {
      if (password !== undefined) {
        await this.call(username === undefined ? ['AUTH', password] : ['AUTH', username, password], leftMs())
      }
      if (protocol === 3) await this.call(['HELLO', 3], leftMs())
      // A user may lack the right to give a name, and nothing depends on it.
      if (clientName !== undefined) await this.pipeline([['CLIENT', 'SETNAME', clientName]], leftMs())
      const reply = await this.call(['PING'], leftMs())
      if (String(reply) !== 'PONG')
        throw new UnexpectedReplyError(`${this.node} answers PING with ${String(reply)}`)
    } catch (error) {
      if (error instanceof ReplyError) {
        const refused = explainRefusal(this.node, error)
        if (refused !== undefined) throw refused
        // Anything else, such as LOADING, comes from a Redis that is merely not ready.
      } else if (error instanceof OutcomeUnknownError) {
        const hint = tls ? '' : '; if it expects TLS, set tls'
        throw new RedisUnavailableError(
          `${error.message}: it may be hung or stopped, or be no Redis at all${hint}`,
          { node: this.node, cause: error },
        )
      } else throw error
    }
  }
}

function explainRefusal(node: string, error: ReplyError): ConfigurationError | undefined {
  const because = (message: string) => new ConfigurationError(`${node} ${message}`, { cause: error })
  if (error.replyCode === 'WRONGPASS')
    return because('refuses this name and password: set username and password')
  if (error.replyCode === 'NOAUTH') return because('asks for a password: set password')
  if (/without any password configured/.test(error.message))
    return because('knows no password: leave password out, or set requirepass there')
  if (error.replyCode === 'NOPERM') return because(`does not let this user in: ${error.message}`)
  if (error.replyCode === 'DENIED')
    return because('is in protected mode: give it a password, or connect from its own machine')
  return undefined
}

function open(options: WireOptions): Promise<Socket> {
  const { host, port, tls, timeoutMs, signal } = options
  const node = addressOf(options)
  return new Promise((resolve, reject) => {
    const servername = isIP(host) ? undefined : host
    const socket = tls
      ? connectTls({ host, port, ...(servername ? { servername } : {}), ...(tls === true ? {} : tls) })
      : connectTcp({ host, port })
    const fail = (reason: string, cause?: unknown) => {
      settle()
      socket.destroy()
      reject(new RedisUnavailableError(`cannot reach ${node}: ${reason}`, { node, cause }))
    }
    const onError = (error: Error & { readonly code?: string }) => fail(explainNetwork(error, tls), error)
    const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs)
    const onAbort = () => {
      settle()
      socket.destroy()
      reject(signal?.reason)
    }
    const settle = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.off('error', onError)
      // A destroyed socket may still report an error, and nobody is interested any more.
      socket.on('error', () => {})
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    socket.on('error', onError)
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      settle()
      socket.setNoDelay(true)
      resolve(socket)
    })
  })
}

function explainNetwork(error: Error & { readonly code?: string }, tls: WireOptions['tls']): string {
  if (error.code === 'ECONNREFUSED') return 'nothing listens there; is the server started, on this port?'
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') return 'there is no such host'
  if (tls) return `${error.message}; does it speak TLS, and is its certificate signed by tls.ca?`
  return error.message
}
