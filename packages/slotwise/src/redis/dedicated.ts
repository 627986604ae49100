import {
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
  SlotMovingError,
  UnexpectedReplyError,
} from '../errors.js'
import { areCallsHeard } from '../telemetry.js'
import { endpointOf } from './address.js'
import { ABORTED, CallRecord } from './call-events.js'
import { authOf, type Credentials } from './credentials.js'
import type { Endpoint } from './link.js'
import type { BorrowedConnection, CommandCall, PortCallOptions, Reply } from './port.js'
import type { WireReply } from './resp.js'
import { isFinal, targetOf, verdictOf } from './retry.js'
import { WireClient, type WireOptions } from './wire.js'

/** What a dedicated connection is made with. */
export interface DedicatedSettings {
  readonly address: string
  readonly credentials: Credentials | undefined
  readonly tls: WireOptions['tls']
  readonly clientName: string
  readonly connectTimeoutMs: number
  readonly commandTimeoutMs: number
}

/** What was sent on a connection of its own, and answered. */
export interface SentTo {
  readonly address: string
  readonly slot: number | undefined
  /** When that node was chosen, before it was connected to or lent; in the time of `performance.now()`. */
  readonly chosenAt: number
  /** Behind ASKING, to a node that need not own the slot yet. */
  readonly isAsking: boolean
}

/** What a connection asks about its node. */
export interface NodeWitness {
  /** Resolves when the node is certain to have been the owner of the slot when it did that, or rejects. */
  confirm(sent: SentTo, deadlineAt: number): Promise<void>
  /** A redirection told where a slot went. */
  moved(slot: number, to: Endpoint): void
  refresh(): void
}

type Command = CommandCall['command']

/** A connection to one node that one caller has to itself. It never reconnects. */
export class DedicatedConnection implements BorrowedConnection {
  readonly node: string
  readonly #settings: DedicatedSettings
  readonly #witness: NodeWitness
  readonly #ended = new AbortController()
  #wire: WireClient | undefined
  #onPush: ((message: readonly Reply[]) => void) | undefined
  #slot: number | undefined
  #chosenAt = 0
  /** When it was given back; in the time of `performance.now()`. */
  idleSince = 0

  private constructor(settings: DedicatedSettings, witness: NodeWitness) {
    this.node = settings.address
    this.#settings = settings
    this.#witness = witness
  }

  static async open(settings: DedicatedSettings, witness: NodeWitness): Promise<DedicatedConnection> {
    const connection = new DedicatedConnection(settings, witness)
    const { address, credentials, tls, clientName, connectTimeoutMs } = settings
    connection.#wire = await WireClient.connect({
      ...endpointOf(address),
      username: credentials?.username,
      password: credentials?.password,
      tls,
      clientName,
      timeoutMs: connectTimeoutMs,
      onPush: (message) => connection.#onPush?.(message.map((part) => asReply(part, false))),
      onEnd: (reason) => connection.#ended.abort(reason),
    })
    return connection
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Prepares it for its next user, for whom it was chosen then. */
  async lend(
    slot: number | undefined,
    chosenAt: number,
    onPush: ((message: readonly Reply[]) => void) | undefined,
    deadlineMs: number,
  ): Promise<void> {
    this.#slot = slot
    this.#chosenAt = chosenAt
    this.#onPush = onPush
    // Answers to commands have the shapes of the shared connection unless pushes are asked for.
    if (onPush !== undefined) await this.#open.call(['HELLO', 3], deadlineMs)
  }

  async call(command: Command, options?: PortCallOptions): Promise<Reply> {
    const [result] = await this.pipeline([command], options)
    if (result?.status === 'fulfilled') return result.value
    throw result?.reason
  }

  async pipeline(
    commands: readonly Command[],
    { binary = false, deadlineMs = this.#settings.commandTimeoutMs, signal }: PortCallOptions = {},
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    signal?.throwIfAborted()
    const startedAt = performance.now()
    const deadlineAt = startedAt + deadlineMs
    // A command that was given up may block the connection still, or take an element from a list for nobody.
    const giveUp = () => this.close()
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      const replies = await this.#open.pipeline(commands, deadlineMs)
      const sent = { address: this.node, slot: this.#slot, chosenAt: this.#chosenAt, isAsking: false }
      if (replies.some(isAnswer)) await this.#witness.confirm(sent, deadlineAt)
      const results = replies.map((reply) => this.#result(reply, binary))
      this.#tell(commands, startedAt, signal, (index) => reasonOf(results[index]))
      return results
    } catch (error) {
      this.close()
      const lost =
        error instanceof OutcomeUnknownError
          ? error
          : new OutcomeUnknownError(`the connection to ${this.node} ended before it answered`, {
              node: this.node,
              cause: error,
            })
      this.#tell(commands, startedAt, signal, () => lost)
      signal?.throwIfAborted()
      throw lost
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /** As they come, refusals among them; not confirmed. For whoever judges them itself. */
  raw(commands: readonly Command[], deadlineMs: number): Promise<readonly WireReply[]> {
    return this.#open.pipeline(commands, deadlineMs)
  }

  /** One of those as the port answers it. */
  readReply(reply: WireReply, binary: boolean): PromiseSettledResult<Reply> {
    return this.#result(reply, binary)
  }

  /** Whether it can serve another caller, once everything that this one may have changed is undone. */
  async reset(): Promise<boolean> {
    const wire = this.#open
    this.#onPush = undefined
    if (wire.ended || !wire.idle) return false
    const { credentials, clientName } = this.#settings
    try {
      const replies = await wire.pipeline([
        ['RESET'],
        ...(credentials === undefined ? [] : [authOf(credentials)]),
        ['CLIENT', 'SETNAME', clientName],
        ['PING'],
      ])
      this.idleSince = performance.now()
      return String(replies[0]) === 'RESET' && String(replies.at(-1)) === 'PONG'
    } catch {
      return false
    }
  }

  close(): void {
    this.#wire?.close()
  }

  get #open(): WireClient {
    if (this.#wire === undefined) throw new TypeError('not open')
    return this.#wire
  }

  #tell(
    commands: readonly Command[],
    startedAt: number,
    signal: AbortSignal | undefined,
    errorAt: (index: number) => unknown,
  ): void {
    if (!areCallsHeard()) return
    for (const [index, command] of commands.entries()) {
      const error = signal?.aborted === true ? ABORTED : errorAt(index)
      const record = new CallRecord({ command, script: undefined }, startedAt, 1)
      record.end({ error, node: this.node, connection: 'borrowed' })
    }
  }

  #result(reply: WireReply, binary: boolean): PromiseSettledResult<Reply> {
    if (!(reply instanceof ReplyError)) {
      const flaw = errorIn(reply)
      if (flaw === undefined) return { status: 'fulfilled', value: asReply(reply, binary) }
      const why = `was executed and answered an array that holds an error: ${flaw.message}`
      return { status: 'rejected', reason: new UnexpectedReplyError(why) }
    }
    return { status: 'rejected', reason: this.#refusal(reply) }
  }

  /** None of these was executed, and no later one of this connection can be before the caller borrows another. */
  #refusal(reply: ReplyError): Error {
    const verdict = verdictOf(reply.message)
    if (verdict.kind === 'moved' || verdict.kind === 'ask') {
      if (verdict.kind === 'moved') this.#witness.moved(verdict.slot, targetOf(verdict, this.node))
      return new SlotMovingError(verdict.slot, { cause: reply })
    }
    if (verdict.kind === 'later') {
      if (verdict.refresh) this.#witness.refresh()
      if (verdict.moving && this.#slot !== undefined) return new SlotMovingError(this.#slot, { cause: reply })
      return new RedisUnavailableError(`${this.node} does not serve it now: ${reply.message}`, {
        node: this.node,
        cause: reply,
      })
    }
    return reply
  }
}

const reasonOf = (result: PromiseSettledResult<Reply> | undefined): unknown =>
  result?.status === 'rejected' ? result.reason : undefined

/** Whether it says what the node holds. */
export function isAnswer(reply: WireReply | undefined): boolean {
  return !(reply instanceof ReplyError) || isFinal(reply.message)
}

function errorIn(reply: WireReply): ReplyError | undefined {
  if (reply instanceof ReplyError) return reply
  if (!Array.isArray(reply)) return undefined
  for (const part of reply as readonly WireReply[]) {
    const found = errorIn(part)
    if (found !== undefined) return found
  }
  return undefined
}

/** In the port's shapes: text or bytes, 1 and 0 for true and false. */
export function asReply(reply: WireReply, binary: boolean): Reply {
  if (Array.isArray(reply)) return (reply as readonly WireReply[]).map((part) => asReply(part, binary))
  if (Buffer.isBuffer(reply)) return binary ? reply : reply.toString()
  if (typeof reply === 'string') return binary ? Buffer.from(reply) : reply
  if (typeof reply === 'boolean') return reply ? 1 : 0
  if (reply instanceof ReplyError) return reply.message
  return reply as Reply
}
