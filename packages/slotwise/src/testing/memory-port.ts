import { ClosedError, ConfigurationError, RedisUnavailableError } from '../errors.js'
import { integer } from '../options.js'
import type {
  BorrowedConnection,
  BorrowTarget,
  CommandCall,
  PortCallOptions,
  RedisPort,
  Reply,
  ScriptCall,
  ShardSubscription,
  WriteThenWaitOptions,
} from '../redis/port.js'
import { type Request, requestOf, requestTo } from '../redis/request.js'
import { slotOf } from '../slots.js'
import { sent } from './memory/bytes.js'
import type { Channels } from './memory/channels.js'
import type { MemoryRedis } from './memory-redis.js'

/** A port whose Redis is in memory. */
export interface MemoryPort extends RedisPort {
  /** To turn its faults on and off, and to open more ports to it. */
  readonly redis: MemoryRedis
}

/** @internal */
export function openMemoryPort(redis: MemoryRedis, channels: Channels, namespace: string): MemoryPort {
  const subscriptions = new Set<ShardSubscription>()
  const startedAt = performance.now()
  let closed = false

  const run = async (ask: () => Request, options: PortCallOptions = {}): Promise<Reply> => {
    if (closed) throw new ClosedError('the port is closed')
    options.signal?.throwIfAborted()
    const request = ask()
    const reply = sent(redis.run(request), request.binary)
    const owner = request.slot === undefined ? undefined : redis.layout.ownerOf(request.slot)
    if (owner !== undefined) request.answeredBy?.(`${owner.host}:${owner.port}`)
    return reply
  }
  const call = (one: CommandCall | ScriptCall, options?: PortCallOptions): Promise<Reply> =>
    run(() => requestOf(one, options), options)
  const onNode = (node: string, command: CommandCall['command'], options?: PortCallOptions): Promise<Reply> =>
    run(() => {
      if (redis.layout.find(node) === undefined) throw new ConfigurationError(`there is no node ${node}`)
      return requestTo(node, command, options)
    }, options)

  const close = async (): Promise<void> => {
    closed = true
    await Promise.all([...subscriptions].map((subscription) => subscription.close()))
  }

  return {
    redis,
    namespace,
    nowMs: () => redis.nowMs(),
    call,
    pipeline: (calls, options) => Promise.allSettled(calls.map((one) => call(one, options))),
    onNode,
    onEachPrimary: async (command, options) => {
      const primaries = redis.layout.nodes.filter(({ role }) => role === 'primary')
      return await Promise.all(
        primaries.map(async (node) => {
          const [result] = await Promise.allSettled([onNode(node.id, command, options)])
          return { node, result }
        }),
      )
    },
    writeThenWait: async (one, options: WriteThenWaitOptions) => {
      const { fsync = false, replicas } = options
      const isWaiting = !fsync || replicas !== undefined
      if (isWaiting) integer('replicas', replicas)
      const reply = await call(one, options)
      // `stop` and `start` keep everything, as a disk does.
      return { reply, acknowledgedBy: isWaiting ? redis.acknowledging() : 0, fsynced: fsync }
    },
    borrow: async <R>(
      target: BorrowTarget,
      use: (connection: BorrowedConnection) => Promise<R>,
    ): Promise<R> => {
      const owner =
        'key' in target ? redis.layout.ownerOf(slotOf(target.key)) : redis.layout.find(target.node)
      if (owner === undefined) throw new ConfigurationError('there is no such node')
      const ended = new AbortController()
      const connection: BorrowedConnection = {
        node: `${owner.host}:${owner.port}`,
        signal: ended.signal,
        call: (command, options) => onNode(owner.id, command, options),
        pipeline: (commands, options) =>
          Promise.allSettled(commands.map((command) => onNode(owner.id, command, options))),
      }
      try {
        return await use(connection)
      } finally {
        ended.abort(new ClosedError('the connection was given back'))
      }
    },
    subscribe: async (channel, listener, options = {}) => {
      if (closed) throw new ClosedError('the port is closed')
      options.signal?.throwIfAborted()
      if (redis.stopped !== undefined) throw new RedisUnavailableError(redis.stopped)
      const subscription = channels.subscribe(channel, listener)
      subscriptions.add(subscription)
      const end = async (): Promise<void> => {
        subscriptions.delete(subscription)
        await subscription.close()
      }
      return {
        get isLive() {
          return subscription.isLive && redis.stopped === undefined
        },
        close: end,
        [Symbol.asyncDispose]: end,
      }
    },
    breaker: () =>
      redis.stopped === undefined
        ? { state: 'closed' }
        : { state: 'open', forMs: performance.now() - startedAt, reason: redis.stopped },
    topology: () => redis.layout,
    onTopology: () => () => {},
    close,
    [Symbol.asyncDispose]: close,
  }
}
