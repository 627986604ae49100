import { ReplyError, SlotwiseError } from '../errors.js'
import { type Events, isHeard, publish, type RetryReason } from '../telemetry.js'
import type { Request } from './request.js'

/** What a call keeps of its way, for the event that tells of its end. */
export interface Traced {
  readonly request: Pick<Request, 'command' | 'script'>
  /** In the time of `performance.now()`. */
  readonly startedAt: number
  /** Joins its beginning and its end; made only where somebody listens to beginnings. */
  id: object | undefined
  /** `host:port` of the node asked last. */
  node: string | undefined
  /** How often it was handed to a node. */
  sends: number
  /** What kept it, once something did. */
  retries: Partial<Record<RetryReason, number>> | undefined
}

/** Remembers what kept a call from being answered. */
export function keptBy(call: Traced, why: RetryReason): void {
  call.retries ??= {}
  call.retries[why] = (call.retries[why] ?? 0) + 1
}

/** Remembers that a call is tried again, and tells. */
export function retried(call: Traced, why: RetryReason, reason: string): void {
  keptBy(call, why)
  publish('slotwise:redis', () => ({ kind: 'retry', node: call.node, reason, why }))
}

/** Tells that a call begins. To be called before anything asynchronous, so that listeners find the caller's context. */
export function callBegan(call: Traced): void {
  if (!isHeard('slotwise:redis:start')) return
  const id = {}
  call.id = id
  publish('slotwise:redis:start', () => ({ id, ...named(call.request) }))
}

/** How a call ended. */
export interface Ending {
  /** What it ended as, if it did not end with a reply. */
  readonly error?: unknown
  /** By its caller's signal. */
  readonly isAborted: boolean
  readonly connection: Events['slotwise:redis:call']['connection']
}

/** Tells that a call has ended. */
export function callEnded(call: Traced, { error, isAborted, connection }: Ending): void {
  publish('slotwise:redis:call', () => ({
    id: call.id,
    ...named(call.request),
    node: call.node,
    outcome: outcomeOf(error, isAborted),
    replyCode: error instanceof ReplyError ? error.replyCode : undefined,
    durationMs: performance.now() - call.startedAt,
    attempts: call.sends,
    retries: call.retries ?? {},
    connection,
  }))
}

function outcomeOf(error: unknown, isAborted: boolean): string {
  if (isAborted) return 'ABORTED'
  if (error === undefined) return 'OK'
  return error instanceof SlotwiseError ? error.code : 'OTHER'
}

function named({ command, script }: Traced['request']) {
  return { operation: command[0].toUpperCase(), script: script?.name }
}
