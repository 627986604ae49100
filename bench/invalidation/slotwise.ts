import { Cache, type LocalOptions } from 'slotwise/cache'
import { connect } from 'slotwise/ioredis'
import type { RedisPort } from 'slotwise/redis'
import { TTL_MS, type Value } from '../cache/subject.js'
import { type Levels, type LevelsPlace, MAX_ENTRIES } from './subject.js'

/** How far a hit may be behind in all measurements that do not say otherwise. */
export const MAX_STALENESS_MS = 500

const openWith =
  (values: LocalOptions['values']) =>
  async (place: LevelsPlace): Promise<Levels> => {
    const port = await connectTo(place)
    const local = { maxEntries: MAX_ENTRIES, maxStalenessMs: MAX_STALENESS_MS, values }
    const cache = new Cache<Value>(port, { name: place.prefix, ttlMs: TTL_MS, local })
    return {
      read: (id, load, tag) =>
        tag === undefined ? cache.getOrLoad(id, load) : cache.getOrLoad(id, { tags: [tag] }, load),
      remove: (id) => cache.invalidate(id),
      removeTag: (tag) => cache.invalidateTags([tag]),
      localHits: () => cache.stats().localHits,
    }
  }

/** One value for all callers, which none of them can change. */
export const open = openWith('frozen')
/** Decoded for each caller. */
export const openCopied = openWith('copied')

/** A port whose connections that tell of changes go where the place says, and all others to the nodes themselves. */
async function connectTo({ nodes, bus }: LevelsPlace): Promise<RedisPort> {
  const seeds = nodes.map(({ host, port }) => `${host}:${port}`)
  const port = await connect({ nodes: seeds })
  const indexOf = (places: LevelsPlace['bus'], at: { readonly host: string; readonly port: number }) =>
    places.findIndex((one) => one.host === at.host && one.port === at.port)
  const telling = await connect({
    nodes: seeds,
    endpointMap: (endpoint) => bus[indexOf(nodes, endpoint)] ?? endpoint,
  })
  const borrow: RedisPort['borrow'] = (target, use) =>
    telling.borrow(target, (connection) => {
      const [host = '', at] = connection.node.split(':')
      const node = nodes[indexOf(bus, { host, port: Number(at) })]
      return use({
        node: node === undefined ? connection.node : `${node.host}:${node.port}`,
        signal: connection.signal,
        call: (command, options) => connection.call(command, options),
        pipeline: (commands, options) => connection.pipeline(commands, options),
      })
    })
  return new Proxy(port, {
    get(target, name) {
      if (name === 'borrow') return borrow
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function'
        ? (...args: readonly unknown[]): unknown => Reflect.apply(member, target, args)
        : member
    },
  })
}
