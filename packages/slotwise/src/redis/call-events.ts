import { ReplyError, SlotwiseError } from '../errors.js'
import { areCallsHeard, areStartsHeard, type Events, publish, type RetryReason } from '../telemetry.js'
import type { Request } from './request.js'

type Named = Pick<Request, 'command' | 'script'>

/** What a call ended as that its caller gave up. */
export const ABORTED = Symbol('aborted')

/** How a call ended. */
export interface Ending {
  /** What it ended as, if it did not end with a reply; `ABORTED` by its caller's signal. */
  readonly error?: unknown
  /** `host:port` of the node asked last. */
  readonly node: string | undefined
  readonly connection: Events['slotwise:redis:call']['connection']
}

/** What a call keeps of its way, for the event that tells of its end. Kept only while somebody listens. */
export class CallRecord {
  readonly #request: Named
  readonly #startedAt: number
  readonly #retries: Partial<Record<RetryReason, number>> = {}
  #id: object | undefined
  /** How often it was handed to a node. */
  sends: number

  constructor(request: Named, startedAt: number, sends = 0) {
    this.#request = request
    this.#startedAt = startedAt
    this.sends = sends
  }

  /**
   * A record, if anybody listens, and the news that the call begins. To be called before anything asynchronous, so that
   * listeners find the caller's context.
   */
  static begin(request: Named, startedAt: number): CallRecord | undefined {
    if (!areCallsHeard() && !areStartsHeard()) return undefined
    const record = new CallRecord(request, startedAt)
    const id = {}
    record.#id = id
    publish('slotwise:redis:start', () => ({ id, ...named(request) }))
    return record
  }

  /** Remembers what kept the call from being answered. */
  keptBy(why: RetryReason): void {
    this.#retries[why] = (this.#retries[why] ?? 0) + 1
  }

  /** Tells that the call has ended. */
  end({ error, node, connection }: Ending): void {
    publish('slotwise:redis:call', () => ({
      id: this.#id,
      ...named(this.#request),
      node,
      outcome: outcomeOf(error),
      replyCode: error instanceof ReplyError ? error.replyCode : undefined,
      durationMs: performance.now() - this.#startedAt,
      attempts: this.sends,
      retries: this.#retries,
      connection,
    }))
  }
}

/** Tells that a call is tried again, and has its record remember. */
export function retried(
  record: CallRecord | undefined,
  node: string | undefined,
  why: RetryReason,
  reason: string,
): void {
  record?.keptBy(why)
  publish('slotwise:redis', () => ({ kind: 'retry', node, reason, why }))
}

function outcomeOf(error: unknown): string {
  if (error === undefined) return 'OK'
  if (error === ABORTED) return 'ABORTED'
  return error instanceof SlotwiseError ? error.code : 'OTHER'
}

function named({ command, script }: Named) {
  return { operation: command[0].toUpperCase(), script: script?.name }
}
