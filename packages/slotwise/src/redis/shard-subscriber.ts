import { ClosedError, RedisUnavailableError, ReplyError } from '../errors.js'
import type { Key } from '../keys.js'
import type { CallOptions } from '../options.js'
import { slotOf } from '../slots.js'
import { publish } from '../telemetry.js'
import type { Endpoint } from './link.js'
import type { ShardListener, ShardSubscription } from './port.js'
import type { WireReply } from './resp.js'
import { type Backoff, backoffMs, targetOf, verdictOf } from './retry.js'
import type { WireClient, WireOptions } from './wire.js'

/** What the subscriber needs to know of the cluster. */
export interface SubscriberSettings {
  readonly retryBackoffMs: Backoff
  readonly commandTimeoutMs: number
  readonly idleTimeoutMs: number
  ownerOf(slot: number): string | undefined
  /** It answers, and nobody can have taken its place. */
  isCertain(address: string): boolean
  /** A connection in RESP3. */
  open(address: string, hooks: Pick<WireOptions, 'onPush' | 'onEnd'>): Promise<WireClient>
  moved(slot: number, to: Endpoint): void
  refresh(): void
  onError(error: Error): void
}

/** A channel that somebody in this process listens to. */
interface Channel {
  readonly name: Key
  readonly slot: number
  readonly listeners: Set<ShardListener>
  /** Where it is subscribed, or is being. */
  at: ShardConnection | undefined
  isLive: boolean
  /** In the time of `performance.now()`; `undefined` unless it was live and is not. */
  interruptedAt: number | undefined
  /** Called when it becomes live. */
  readonly waiting: Set<() => void>
  attempts: number
  /** The request to subscribe that counts; what becomes of earlier ones does not. */
  request: object | undefined
  retry: NodeJS.Timeout | undefined
  lastReason: unknown
}

/** One connection to one node, for all channels of the slots it owns. */
class ShardConnection {
  readonly address: string
  readonly wire: Promise<WireClient>
  readonly channels = new Set<Channel>()
  emptySince = performance.now()
  #open: WireClient | undefined
  #probing = false
  isEnded = false

  constructor(address: string, wire: Promise<WireClient>) {
    this.address = address
    this.wire = wire
    wire.then(
      (open) => {
        this.#open = open
        if (this.isEnded) open.close()
      },
      () => undefined,
    )
  }

  /** Nothing else tells a connection that is quiet from one that is dead. */
  probe(): void {
    if (this.#probing || this.#open === undefined) return
    const wire = this.#open
    this.#probing = true
    wire.call(['PING']).then(
      () => {
        this.#probing = false
      },
      () => wire.close(),
    )
  }

  close(): void {
    this.isEnded = true
    this.#open?.close()
  }
}

/**
 * Sharded subscriptions: one connection for this process and a node, whatever the number of channels. Each is brought
 * back to whoever owns its slot, and its listeners are told when they may have missed something.
 */
export class ShardSubscriber {
  readonly #settings: SubscriberSettings
  readonly #channels = new Map<string, Channel>()
  readonly #connections = new Map<string, ShardConnection>()
  #closed = false

  constructor(settings: SubscriberSettings) {
    this.#settings = settings
  }

  async subscribe(
    name: Key,
    listener: ShardListener,
    { signal, deadlineMs = this.#settings.commandTimeoutMs }: CallOptions = {},
  ): Promise<ShardSubscription> {
    if (this.#closed) throw new ClosedError('this port has been closed')
    signal?.throwIfAborted()
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      channel = {
        name,
        slot: slotOf(name),
        listeners: new Set(),
        at: undefined,
        isLive: false,
        interruptedAt: undefined,
        waiting: new Set(),
        attempts: 0,
        request: undefined,
        retry: undefined,
        lastReason: undefined,
      }
      this.#channels.set(name, channel)
      this.#place(channel)
    }
    // A listener may be given twice, and each time is a subscription.
    const own: ShardListener = {
      message: (payload) => listener.message(payload),
      interrupted: (reason) => listener.interrupted?.(reason),
      resumed: () => listener.resumed?.(),
    }
    channel.listeners.add(own)
    try {
      if (channel.isLive) this.#tell(own, (one) => one.resumed?.())
      else await this.#untilLive(channel, deadlineMs, signal)
    } catch (error) {
      await this.#leave(channel, own)
      throw error
    }
    const joined = channel
    const close = () => this.#leave(joined, own)
    return {
      get isLive() {
        return joined.isLive && joined.listeners.has(own)
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  /** Slots may have other owners now. */
  follow(byRedirections = false): void {
    for (const channel of this.#channels.values()) {
      const owner = this.#settings.ownerOf(channel.slot)
      if (owner === undefined || channel.at?.address === owner) continue
      // Nodes that disagree send it to and fro: it goes on after its pause.
      if (byRedirections && channel.at === undefined && channel.attempts > 5) continue
      this.#displace(channel, `slot ${channel.slot} is owned by ${owner} now`)
    }
  }

  /** A node answers again: what waits for it goes on at once. */
  wake(): void {
    for (const channel of this.#channels.values()) {
      if (channel.at === undefined) this.#place(channel)
    }
  }

  /** Asks every connection for a sign of life, and closes those that nobody needs any more. */
  tend(): void {
    for (const connection of this.#connections.values()) {
      const isUnused = connection.channels.size === 0
      if (isUnused && performance.now() - connection.emptySince > this.#settings.idleTimeoutMs)
        connection.close()
      else connection.probe()
    }
  }

  /** How many channels are heard, and how many are not just now. */
  get use(): { readonly live: number; readonly interrupted: number } {
    const live = [...this.#channels.values()].filter(({ isLive }) => isLive).length
    return { live, interrupted: this.#channels.size - live }
  }

  close(): void {
    this.#closed = true
    for (const channel of this.#channels.values()) clearTimeout(channel.retry)
    this.#channels.clear()
    for (const connection of this.#connections.values()) connection.close()
  }

  #untilLive(channel: Channel, deadlineMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        channel.waiting.delete(onLive)
      }
      const onLive = () => {
        settle()
        resolve()
      }
      const onAbort = () => {
        settle()
        reject(signal?.reason as Error)
      }
      const timer = setTimeout(() => {
        settle()
        const why = channel.lastReason instanceof Error ? `: ${channel.lastReason.message}` : ''
        const message = `${channel.name} could not be subscribed within ${deadlineMs} ms${why}`
        const node = channel.at?.address
        reject(new RedisUnavailableError(message, { node, cause: channel.lastReason }))
      }, deadlineMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      channel.waiting.add(onLive)
    })
  }

  async #leave(channel: Channel, listener: ShardListener): Promise<void> {
    if (!channel.listeners.delete(listener) || channel.listeners.size > 0) return
    if (this.#channels.get(channel.name) === channel) this.#channels.delete(channel.name)
    clearTimeout(channel.retry)
    channel.isLive = false
    const { at } = channel
    if (at === undefined) return
    this.#detach(channel)
    if (!this.#connections.has(at.address) || at.isEnded) return
    // A newer subscription of the same channel comes behind this on the same connection, and so wins.
    const wire = await at.wire.catch(() => undefined)
    if (wire === undefined || this.#channels.get(channel.name)?.at === at) return
    await wire.subscription('SUNSUBSCRIBE', channel.name).catch(() => undefined)
  }

  #place(channel: Channel): void {
    clearTimeout(channel.retry)
    if (this.#closed || this.#channels.get(channel.name) !== channel) return
    const address = this.#settings.ownerOf(channel.slot)
    if (address === undefined || !this.#settings.isCertain(address)) {
      this.#settings.refresh()
      return this.#later(
        channel,
        new RedisUnavailableError(`nobody serves slot ${channel.slot}`, { node: address }),
      )
    }
    const connection = this.#connectionTo(address)
    const request = {}
    channel.at = connection
    channel.request = request
    connection.channels.add(channel)
    // That it succeeded is told by the push, in its order among messages and the server's `sunsubscribe`.
    connection.wire
      .then((wire) => wire.subscription('SSUBSCRIBE', channel.name))
      .catch((error: unknown) => {
        if (channel.request === request && channel.at === connection) this.#failed(channel, error)
      })
  }

  #isLive(channel: Channel): void {
    if (channel.isLive) return
    channel.isLive = true
    channel.attempts = 0
    const { interruptedAt, at } = channel
    channel.interruptedAt = undefined
    if (interruptedAt !== undefined && at !== undefined) {
      const awayMs = performance.now() - interruptedAt
      publish('slotwise:redis', () => ({ kind: 'subscription-resumed', node: at.address, awayMs }))
    }
    for (const waiting of Array.from(channel.waiting)) waiting()
    this.#toEach(channel, (listener) => listener.resumed?.())
  }

  #failed(channel: Channel, error: unknown): void {
    const verdict = error instanceof ReplyError ? verdictOf(error.message) : undefined
    const asked = channel.at?.address ?? ''
    if (verdict?.kind === 'moved') this.#settings.moved(verdict.slot, targetOf(verdict, asked))
    else this.#settings.refresh()
    this.#detach(channel)
    this.#later(channel, error)
  }

  #later(channel: Channel, reason: unknown): void {
    channel.lastReason = reason
    const ms = backoffMs(channel.attempts++, this.#settings.retryBackoffMs)
    clearTimeout(channel.retry)
    channel.retry = setTimeout(() => this.#place(channel), ms).unref()
  }

  /** It is subscribed where it does not belong any more. */
  #displace(channel: Channel, reason: string): void {
    const { at } = channel
    this.#detach(channel)
    this.#interrupt(channel, at?.address, reason)
    this.#place(channel)
    void at?.wire.then((wire) => wire.subscription('SUNSUBSCRIBE', channel.name)).catch(() => undefined)
  }

  #detach(channel: Channel): void {
    const { at } = channel
    channel.at = undefined
    if (at === undefined) return
    at.channels.delete(channel)
    if (at.channels.size === 0) at.emptySince = performance.now()
  }

  #interrupt(channel: Channel, node: string | undefined, reason: string): void {
    if (!channel.isLive) return
    channel.isLive = false
    channel.interruptedAt = performance.now()
    publish('slotwise:redis', () => ({ kind: 'subscription-interrupted', node, reason }))
    this.#toEach(channel, (listener) => listener.interrupted?.(reason))
  }

  /** What one listener throws is not the others' concern, nor the connection's. */
  #toEach(channel: Channel, tell: (listener: ShardListener) => void): void {
    for (const listener of Array.from(channel.listeners)) this.#tell(listener, tell)
  }

  #tell(listener: ShardListener, tell: (listener: ShardListener) => void): void {
    try {
      tell(listener)
    } catch (error) {
      this.#settings.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #connectionTo(address: string): ShardConnection {
    const known = this.#connections.get(address)
    if (known !== undefined && !known.isEnded) return known
    const wire = this.#settings.open(address, {
      onPush: (message) => this.#pushed(connection, message),
      onEnd: (reason) => this.#ended(connection, reason.message),
    })
    const connection = new ShardConnection(address, wire)
    wire.catch((error: unknown) =>
      this.#ended(connection, error instanceof Error ? error.message : String(error)),
    )
    this.#connections.set(address, connection)
    return connection
  }

  #pushed(connection: ShardConnection, [kind, name, payload]: readonly WireReply[]): void {
    const channel = this.#channels.get(String(name))
    if (channel === undefined || channel.at !== connection) return
    // A replica serves the channels of its primary, as one that was replaced does without a word, with what other
    // nodes happen to pass on.
    if (String(kind) !== 'sunsubscribe' && !this.#settings.isCertain(connection.address)) {
      return this.#displace(channel, `${connection.address} may have been replaced`)
    }
    if (String(kind) === 'smessage') {
      // It may still come from a subscription on this connection that was given up.
      if (!channel.isLive) return
      this.#toEach(channel, (listener) => listener.message(payload as Buffer))
      return
    }
    if (String(kind) === 'ssubscribe') this.#isLive(channel)
    // Its slot has gone elsewhere; nothing else is said, and the connection stays open.
    if (String(kind) === 'sunsubscribe' && channel.isLive) {
      this.#detach(channel)
      this.#interrupt(channel, connection.address, `${connection.address} gave slot ${channel.slot} away`)
      this.#settings.refresh()
      this.#later(channel, undefined)
    }
  }

  #ended(connection: ShardConnection, reason: string): void {
    connection.isEnded = true
    if (this.#connections.get(connection.address) === connection) this.#connections.delete(connection.address)
    if (this.#closed) return
    for (const channel of Array.from(connection.channels)) {
      this.#detach(channel)
      this.#interrupt(channel, connection.address, reason)
      this.#later(channel, new RedisUnavailableError(reason, { node: connection.address }))
    }
    this.#settings.refresh()
  }
}
