import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClosedError,
  OutcomeUnknownError,
  RedisUnavailableError,
  ReplyError,
  SlotMovingError,
} from '../errors.js'
import { slotOf } from '../slots.js'
import { ABORTED, CallRecord, retried } from './call-events.js'
import { unserved } from './connect-errors.js'
import { type DedicatedConnection, isAnswer, type NodeWitness } from './dedicated.js'
import type { Endpoint } from './link.js'
import type { NodeQueue } from './node-queue.js'
import type { Pool } from './pool.js'
import type { BorrowedConnection, BorrowTarget, CommandCall, PortCallOptions, Reply } from './port.js'
import { asText, type Request } from './request.js'
import type { WireReply } from './resp.js'
import { type Backoff, backoffMs, LAST_MS, targetOf, verdictOf } from './retry.js'

/** What callers with a connection of their own need to know of the cluster. */
export interface BorrowingSettings {
  readonly commandTimeoutMs: number
  readonly poolTimeoutMs: number
  readonly maxRetries: number
  readonly retryBackoffMs: Backoff
  ownerOf(slot: number): string | undefined
  /** Whether what is reached there is a replica, or a primary in whose place one was elected. */
  isReplaced(address: string): boolean
  /** `host:port` of a node by its id or address. */
  addressOf(node: string): string
  /** `host:port` at which a node is reached that calls itself so. */
  reach(endpoint: Endpoint): string
  queueOf(address: string): NodeQueue
  poolOf(address: string): Pool
  readonly witness: NodeWitness
}

type Command = CommandCall['command']

/** A connection, and the pool that has to have it back. */
interface Lease {
  readonly connection: DedicatedConnection
  readonly pool: Pool
  /** When its node was the right one; in the time of `performance.now()`. */
  readonly chosenAt: number
}

/** What is told of a call, if anybody listens. */
interface Way {
  readonly record: CallRecord | undefined
  node: string | undefined
}

/** What came of one attempt on a connection of its own. */
interface Attempt {
  readonly replies: readonly WireReply[]
  readonly connection: DedicatedConnection
}

/** Calls that cannot share a connection: each has one to itself for as long as it takes. */
export class Borrowing {
  readonly #settings: BorrowingSettings
  readonly #running = new Set<Promise<unknown>>()
  /** Those of them that end when somebody else's code does. */
  readonly #borrowed = new Set<Promise<unknown>>()
  #closed = false

  constructor(settings: BorrowingSettings) {
    this.#settings = settings
  }

  /** Lends a connection to `use`. Everything it did to the connection is undone after. */
  borrow<R>(target: BorrowTarget, use: (connection: BorrowedConnection) => Promise<R>): Promise<R> {
    return this.#tracked(async () => {
      const { connection, pool } = await this.#lent(target)
      try {
        return await use(connection)
      } finally {
        void pool.give(connection)
      }
    }, this.#borrowed)
  }

  /**
   * Runs one call, and behind it on the same connection what `tail` asks that node, until it is answered or out of time. The
   * first reply answers the call.
   */
  run(
    request: Request,
    options: PortCallOptions = {},
    tail: (node: string) => readonly Command[] = () => [],
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    return this.#tracked(async () => {
      const way: Way = { record: CallRecord.begin(request, performance.now()), node: undefined }
      const ended = (error?: unknown) => {
        way.record?.end({ error, node: way.node, connection: 'dedicated' })
      }
      try {
        const replies = await this.#run(way, request, options, tail)
        const [first] = replies
        ended(first?.status === 'rejected' ? first.reason : undefined)
        return replies
      } catch (error) {
        ended(options.signal?.aborted === true ? ABORTED : error)
        throw error
      }
    }, this.#running)
  }

  /**
   * Takes no more, and waits for what is under way: calls end at their deadlines. Borrowers, who may wait for the end
   * of their connection themselves, get as long as one call.
   */
  async drain(): Promise<void> {
    this.#closed = true
    const patience = new AbortController()
    const enough = sleep(this.#settings.commandTimeoutMs, undefined, { ref: false, signal: patience.signal })
    await Promise.all([
      Promise.allSettled(this.#running),
      Promise.race([Promise.allSettled(this.#borrowed), enough.catch(() => undefined)]),
    ])
    patience.abort()
  }

  async #tracked<R>(act: () => Promise<R>, among: Set<Promise<unknown>>): Promise<R> {
    if (this.#closed) throw new ClosedError('this port has been closed')
    const running = act()
    among.add(running)
    try {
      return await running
    } finally {
      among.delete(running)
    }
  }

  async #run(
    way: Way,
    request: Request,
    { deadlineMs = this.#settings.commandTimeoutMs, signal }: PortCallOptions,
    tail: (node: string) => readonly Command[],
  ): Promise<readonly PromiseSettledResult<Reply>[]> {
    const { slot, node, binary, repeat, script } = request
    const deadlineAt = performance.now() + deadlineMs
    let prefix: readonly Command[] = []
    let command = request.command
    let elsewhere: string | undefined
    let losses = 0
    let isMoving = false
    /** What it ends as because nobody takes it any more. */
    const given = (error: unknown): unknown => {
      if (!(error instanceof RedisUnavailableError)) return error
      // "Not executed" may only be said if no earlier attempt was lost.
      if (losses > 0) return unknown(request, error)
      return isMoving && slot !== undefined ? new SlotMovingError(slot, { cause: error }) : error
    }
    for (let attempt = 0; ; attempt++) {
      const where = () => elsewhere ?? node ?? this.#ownerOf(slot ?? 0)
      const head = [...prefix, command]
      const sent = (at: string) => [...head, ...tail(at)]
      let outcome: Attempt
      try {
        outcome = await this.#attempt(way, where, { sent, at: prefix.length }, slot, deadlineAt, signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof OutcomeUnknownError)) throw given(error)
        if (repeat === 'unsafe' || losses++ >= this.#settings.maxRetries) throw error
        elsewhere = undefined
        prefix = []
        await this.#pause(attempt, deadlineAt, error)
        retried(way.record, way.node, 'lost', error.message)
        continue
      }
      const { replies, connection } = outcome
      const reply = replies[prefix.length] ?? null
      const verdict = reply instanceof ReplyError ? verdictOf(reply.message) : undefined
      isMoving = false
      if (verdict?.kind === 'no-script' && script !== undefined && command === request.command) {
        command = asText(request)
        // To whoever serves the slot by now, who will send it on: this node may have been replaced before it said so.
        prefix = []
        elsewhere = undefined
        continue
      }
      if (
        verdict === undefined ||
        verdict.kind === 'final' ||
        verdict.kind === 'no-script' ||
        node !== undefined
      ) {
        return [reply, ...replies.slice(prefix.length + 1)].map((one) => connection.readReply(one, binary))
      }
      prefix = []
      elsewhere = undefined
      const why = verdict.kind === 'later' ? verdict.why : verdict.kind
      retried(way.record, way.node, why, reply instanceof ReplyError ? reply.message : '')
      let isEager = attempt <= 5
      if (verdict.kind === 'moved')
        this.#settings.witness.moved(verdict.slot, targetOf(verdict, connection.node))
      else if (verdict.kind === 'ask') {
        const target = this.#settings.reach(targetOf(verdict, connection.node))
        if (this.#settings.isReplaced(target)) {
          // It was replaced, which whoever gives the slot away has not heard of, and itself perhaps neither.
          this.#settings.witness.refresh()
          isEager = false
        } else {
          prefix = [['ASKING']]
          elsewhere = target
        }
      } else {
        if (verdict.refresh) this.#settings.witness.refresh()
        isMoving = verdict.moving
        isEager = false
      }
      if (isEager) continue
      try {
        await this.#pause(attempt, deadlineAt, reply)
      } catch (error) {
        throw given(error)
      }
    }
  }

  async #attempt(
    way: Way,
    where: () => string,
    { sent, at }: { readonly sent: (node: string) => readonly Command[]; readonly at: number },
    slot: number | undefined,
    deadlineAt: number,
    signal: AbortSignal | undefined,
  ): Promise<Attempt> {
    const { connection, pool, chosenAt } = await this.#taken(where, deadlineAt, signal, way.record)
    way.node = connection.node
    if (way.record !== undefined) way.record.sends++
    // A command that was given up may block the connection still, or take an element from a list for nobody.
    const giveUp = () => connection.close()
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      const leftMs = Math.max(1, deadlineAt - performance.now())
      const replies = await connection.raw(sent(connection.node), leftMs)
      const to = { address: connection.node, slot, chosenAt, isAsking: at > 0 }
      if (isAnswer(replies[at])) await this.#settings.witness.confirm(to, deadlineAt)
      return { replies, connection }
    } catch (error) {
      connection.close()
      this.#settings.witness.refresh()
      throw error
    } finally {
      signal?.removeEventListener('abort', giveUp)
      void pool.give(connection)
    }
  }

  /** One that is ready for its borrower. */
  async #lent(target: BorrowTarget): Promise<Lease> {
    const { signal, deadlineMs = this.#settings.poolTimeoutMs, onPush } = target
    const deadlineAt = performance.now() + deadlineMs
    const slot = 'key' in target ? slotOf(target.key) : undefined
    const where = () => ('node' in target ? this.#settings.addressOf(target.node) : this.#ownerOf(slot ?? 0))
    for (let attempt = 0; ; attempt++) {
      const lease = await this.#taken(where, deadlineAt, signal)
      const { connection, pool, chosenAt } = lease
      try {
        await connection.lend(slot, chosenAt, onPush, Math.max(1, deadlineAt - performance.now()))
        return lease
      } catch (error) {
        connection.close()
        void pool.give(connection)
        if (error instanceof ReplyError) throw error
        const { node } = connection
        const message = `the connection to ${node} ended before it was lent`
        await this.#pause(attempt, deadlineAt, new RedisUnavailableError(message, { node, cause: error }))
      }
    }
  }

  /** A connection to whoever is the right node by then. */
  async #taken(
    where: () => string,
    deadlineAt: number,
    signal: AbortSignal | undefined,
    record?: CallRecord,
  ): Promise<Lease> {
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      let cause: unknown
      try {
        const chosenAt = performance.now()
        const address = where()
        const queue = this.#settings.queueOf(address)
        // What the shared connection knows spares a connection time-out for each caller.
        if (queue.ready) {
          const pool = this.#settings.poolOf(address)
          return { pool, chosenAt, connection: await pool.take(deadlineAt - performance.now(), signal) }
        }
        cause = new RedisUnavailableError(`${address} cannot be reached`, {
          node: address,
          cause: queue.downBecause,
        })
      } catch (error) {
        if (!(error instanceof RedisUnavailableError)) throw error
        cause = error
      }
      record?.keptBy('unavailable')
      await this.#pause(attempt, deadlineAt, cause)
    }
  }

  #ownerOf(slot: number): string {
    const owner = this.#settings.ownerOf(slot)
    if (owner !== undefined) return owner
    this.#settings.witness.refresh()
    throw new RedisUnavailableError(unserved(slot))
  }

  async #pause(attempt: number, deadlineAt: number, cause: unknown): Promise<void> {
    const ms = backoffMs(attempt, this.#settings.retryBackoffMs)
    const leftMs = deadlineAt - performance.now()
    if (ms < leftMs - LAST_MS) {
      await sleep(ms, undefined, { ref: false })
      return
    }
    if (cause instanceof RedisUnavailableError || cause instanceof OutcomeUnknownError) throw cause
    throw new RedisUnavailableError('no server took the call before its deadline', { cause })
  }
}

function unknown({ command }: Request, cause: RedisUnavailableError): OutcomeUnknownError {
  const node = cause.node ?? 'unknown'
  return new OutcomeUnknownError(`${command[0]} was sent to ${node}, which did not answer`, { node, cause })
}
