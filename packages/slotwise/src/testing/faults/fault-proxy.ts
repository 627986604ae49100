import type { Socket } from 'node:net'
import { ClosedError } from '../../errors.js'
import { integer, oneOf } from '../../options.js'
import type { Endpoint } from '../../redis/link.js'
import { Exchange } from './exchange.js'
import type { Direction, Passage } from './flow.js'
import { Listener } from './listener.js'
import { Relay } from './relay.js'

/** What has gone through a {@link FaultProxy} since it was opened. */
export interface ProxyStats {
  /** Accepted so far. */
  readonly connections: number
  readonly openConnections: number
  readonly bytesToServer: number
  readonly bytesToClient: number
  /** Lost to {@link FaultProxy.drop} and {@link FaultProxy.loseReplies}. */
  readonly bytesDropped: number
  /** Connections broken by {@link FaultProxy.loseReplies}. */
  readonly repliesLost: number
}

/** Whose reply is lost. */
export interface LoseRepliesOptions {
  /**
   * Only replies to this command, by its name, such as `'INCR'`. Needs connections without TLS.
   *
   * @defaultValue replies to any command, those that a client library sends by itself among them
   */
  readonly command?: string | undefined
}

const DIRECTIONS = ['toServer', 'toClient', 'both'] as const

/**
 * A TCP proxy on 127.0.0.1 in front of one server, which can do to connections what networks do. A fault is in force
 * when the method returns, for all connections, present and future, until {@link FaultProxy.heal}; faults add up.
 *
 * Bytes never change their order, and nothing is ever delivered behind a gap: a connection that has lost bytes
 * carries no more of them and is reset by `heal`.
 *
 * Not a machine that is gone: the proxy's own system accepts connections whatever becomes of their bytes. Who needs
 * connections that cannot be made uses {@link FaultProxy.refuse}. The proxy lives in this process: while its event
 * loop stands still, so does every connection.
 *
 * @example
 * ```ts
 * import { FaultProxy } from 'slotwise/testing/faults'
 *
 * await using proxy = await FaultProxy.open({ host: '127.0.0.1', port: 6379 })
 * console.log(`connect to ${proxy.host}:${proxy.port}`)
 * proxy.delay(50) // a round trip takes 100 ms longer
 * proxy.drop('toClient') // requests are executed, nobody hears of it
 * await proxy.heal()
 * ```
 */
export class FaultProxy implements AsyncDisposable {
  /** Always 127.0.0.1. */
  readonly host: string
  readonly port: number
  /** The server behind. */
  readonly target: Endpoint
  readonly #listener: Listener
  readonly #relays = new Set<Relay>()
  readonly #passages = { toServer: 'pass' as Passage, toClient: 'pass' as Passage }
  readonly #delays = { toServer: 0, toClient: 0 }
  readonly #totals = { connections: 0, toServer: 0, toClient: 0, dropped: 0, repliesLost: 0 }
  #losing: { count: number; readonly command: string | undefined } | undefined
  #closed = false

  private constructor(target: Endpoint, listener: Listener) {
    this.target = { host: target.host, port: target.port }
    this.host = listener.host
    this.port = listener.port
    this.#listener = listener
    listener.accept = (socket) => this.#accept(socket)
  }

  /**
   * Listens on a free port and passes everything on.
   *
   * @throws LocalServerError there is no free port
   */
  static async open(target: Endpoint): Promise<FaultProxy> {
    return new FaultProxy(target, await Listener.open())
  }

  /** Holds every byte back for so long; 0 takes the delay away. Bytes under way keep theirs. */
  delay(ms: number, direction: Direction = 'both'): void {
    this.#check(direction)
    integer('delay', ms, { min: 0 })
    for (const way of waysOf(direction)) this.#delays[way] = ms
    for (const relay of this.#relays) relay.delay(direction, ms)
  }

  /**
   * A black hole: bytes vanish, and news of closed connections too; connections stay open. As behind a firewall
   * that has forgotten its connections. `heal` resets the connections that lost something.
   */
  drop(direction: Direction = 'both'): void {
    this.#pass(direction, 'drop')
  }

  /**
   * Bytes wait, and arrive after `heal`, long after who sent them may have given up. As in a network that is cut and
   * mended before the connections give up.
   */
  hold(direction: Direction = 'both'): void {
    this.#pass(direction, 'hold')
  }

  /** New connections are refused (ECONNREFUSED), as where no server listens; present ones go on. */
  refuse(): void {
    this.#refuseWhenClosed()
    this.#listener.refuse()
  }

  /** Resets present connections (ECONNRESET, on both sides), once. */
  reset(): void {
    this.#refuseWhenClosed()
    for (const relay of this.#relays) relay.reset()
  }

  /**
   * The next `count` times that the server answers, the answer is lost and its connection reset: the server **did**
   * execute the command, and the caller cannot know. Answers that left the server together with it, on the same
   * connection, are lost as well.
   */
  loseReplies(count = 1, { command }: LoseRepliesOptions = {}): void {
    this.#refuseWhenClosed()
    integer('count', count, { min: 0 })
    this.#losing = count === 0 ? undefined : { count, command: command?.toUpperCase() }
  }

  /**
   * Takes every fault away. Connections that lost bytes are reset, the others go on.
   *
   * @throws LocalServerError after `refuse`, if somebody else has taken the port meanwhile
   */
  async heal(): Promise<void> {
    this.#refuseWhenClosed()
    this.#losing = undefined
    for (const way of waysOf('both')) {
      this.#passages[way] = 'pass'
      this.#delays[way] = 0
    }
    for (const relay of this.#relays) relay.heal()
    await this.#listener.resume()
    if (this.#closed) this.#listener.refuse()
  }

  stats(): ProxyStats {
    const { connections, toServer, toClient, dropped, repliesLost } = this.#totals
    const open = [...this.#relays]
    const sum = (of: (relay: Relay) => number) => open.reduce((total, relay) => total + of(relay), 0)
    return {
      connections,
      openConnections: open.length,
      bytesToServer: toServer + sum((relay) => relay.toServer.passed),
      bytesToClient: toClient + sum((relay) => relay.toClient.passed),
      bytesDropped: dropped + sum((relay) => relay.toServer.dropped + relay.toClient.dropped),
      repliesLost,
    }
  }

  /** Resets every connection and gives the port back. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.#listener.refuse()
    for (const relay of this.#relays) relay.reset()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(client: Socket): void {
    this.#totals.connections++
    const exchange = new Exchange()
    const relay: Relay = new Relay({
      client,
      target: this.target,
      asks: (chunk) => {
        exchange.asked(chunk)
        return true
      },
      answers: (chunk) => this.#mayAnswer(relay, exchange.answered(chunk)),
      closed: () => this.#forget(relay),
    })
    this.#relays.add(relay)
    for (const way of waysOf('both')) {
      relay.delay(way, this.#delays[way])
      relay.set(way, this.#passages[way])
    }
  }

  #mayAnswer(relay: Relay, commands: readonly string[]): boolean {
    const losing = this.#losing
    if (losing === undefined) return true
    if (losing.command !== undefined && !commands.includes(losing.command)) return true
    this.#totals.repliesLost++
    losing.count--
    if (losing.count === 0) this.#losing = undefined
    relay.reset()
    return false
  }

  #forget(relay: Relay): void {
    this.#relays.delete(relay)
    this.#totals.toServer += relay.toServer.passed
    this.#totals.toClient += relay.toClient.passed
    this.#totals.dropped += relay.toServer.dropped + relay.toClient.dropped
  }

  #pass(direction: Direction, passage: Passage): void {
    this.#check(direction)
    for (const way of waysOf(direction)) this.#passages[way] = passage
    for (const relay of this.#relays) relay.set(direction, passage)
  }

  #check(direction: Direction): void {
    this.#refuseWhenClosed()
    oneOf('direction', direction, DIRECTIONS)
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new ClosedError('this proxy has been closed')
  }
}

function waysOf(direction: Direction): readonly ('toServer' | 'toClient')[] {
  return direction === 'both' ? ['toServer', 'toClient'] : [direction]
}
