import { ClosedError, ReplyError } from '../../errors.js'
import type { Argument, RedisPort, Reply } from '../../redis/port.js'

/** What kept a node from answering as it should. */
export type NodeState = 'answers' | 'loading' | 'busy' | 'refuses' | 'silent'

type Command = readonly [name: string, ...args: Argument[]]

/** How an interview is bounded. */
export interface InterviewBounds {
  /** On the clock of `performance.now()`. */
  readonly deadlineAt: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The questions to one node, all within one deadline: a node that hangs costs that much, however many there are. What
 * is not answered is remembered by its reason, so that "was not allowed to look" never passes for "looks well".
 */
export class Interview {
  readonly node: string
  /** ACL rights that were missing, such as `+config|get`. */
  readonly denied = new Set<string>()
  /** Commands that this server does not have, or hides. */
  readonly unknown = new Set<string>()
  /** Why the node is not at work, as far as answers told. */
  state: NodeState = 'silent'
  reason: string | undefined
  /** A server without cluster mode. */
  standalone = false
  readonly #port: RedisPort
  readonly #id: string
  readonly #bounds: InterviewBounds

  constructor(
    port: RedisPort,
    node: { readonly id: string; readonly name: string },
    bounds: InterviewBounds,
  ) {
    this.#port = port
    this.#id = node.id
    this.node = node.name
    this.#bounds = bounds
  }

  get remainingMs(): number {
    return this.#bounds.deadlineAt - performance.now()
  }

  /** The answer, or nothing; only the end of the port or of the caller's patience is thrown. */
  async ask(command: Command, binary = false): Promise<Reply | undefined> {
    const { signal } = this.#bounds
    signal?.throwIfAborted()
    const deadlineMs = Math.floor(this.remainingMs)
    if (deadlineMs < 1) return undefined
    try {
      const reply = await this.#port.onNode(this.#id, command, { deadlineMs, signal, binary })
      this.#learn('answers', undefined)
      return reply
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof ClosedError) throw error
      this.#understand(command, error)
      return undefined
    }
  }

  async text(command: Command): Promise<string> {
    const reply = await this.ask(command)
    return typeof reply === 'string' ? reply : ''
  }

  #understand(command: Command, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    if (!(error instanceof ReplyError)) {
      // Refused at the door: the port then has no connection at all.
      return this.#learn(/\b(?:WRONGPASS|NOAUTH)\b/.test(message) ? 'refuses' : 'silent', message)
    }
    const { replyCode } = error
    if (replyCode === 'LOADING') return this.#learn('loading', message)
    if (replyCode === 'BUSY') return this.#learn('busy', message)
    if (replyCode === 'NOAUTH' || replyCode === 'WRONGPASS') return this.#learn('refuses', message)
    if (replyCode === 'NOPERM') this.denied.add(/\bkeys?\b/.test(message) ? '~*' : rightOf(command))
    else if (/unknown (?:sub)?command/i.test(message)) this.unknown.add(nameOf(command))
    else if (/cluster support disabled/i.test(message)) this.standalone = true
    this.#learn('answers', undefined)
  }

  /** A node that loads or is busy still answers some questions: what it is not able to do counts. */
  #learn(state: NodeState, reason: string | undefined): void {
    const rank: readonly NodeState[] = ['silent', 'answers', 'loading', 'busy', 'refuses']
    if (rank.indexOf(state) < rank.indexOf(this.state)) return
    this.state = state
    this.reason = reason
  }
}

/** Commands whose rights are given by subcommand. */
const CONTAINERS = new Set(['ACL', 'CLUSTER', 'CONFIG', 'LATENCY', 'MEMORY'])

const nameOf = ([name, first]: Command): string => (CONTAINERS.has(name) ? `${name} ${String(first)}` : name)

const rightOf = (command: Command): string => `+${nameOf(command).toLowerCase().replace(' ', '|')}`
