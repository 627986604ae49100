import { ConfigurationError, ReplyError, type SlotwiseError } from '../errors.js'
import { SLOTS } from '../slots.js'
import { addressOf } from './address.js'
import { unreachable } from './connect-errors.js'
import type { SentinelOptions } from './connect-options.js'
import { asReply } from './dedicated.js'
import type { Endpoint } from './link.js'
import type { NodeView } from './topology.js'
import type { Look, TopologySource } from './topology-watch.js'
import { WireClient, type WireOptions } from './wire.js'

export interface SentinelSourceSettings {
  readonly sentinels: readonly Endpoint[]
  readonly sentinel: SentinelOptions
  readonly tls: WireOptions['tls']
  readonly clientName: string
  readonly timeoutMs: number
  /** Told how long the primary may be silent before the sentinels replace it. */
  readonly nodeTimeout: (ms: number) => void
}

/**
 * Who is the primary as the sentinels tell it. The highest configuration epoch is right, and a majority has agreed
 * on it. A server without a cluster redirects nobody, so that nothing but the sentinels tells a replaced primary.
 *
 * @see {@link https://redis.io/docs/latest/develop/reference/sentinel-clients/ | Guidelines for Sentinel clients}
 */
export class SentinelSource implements TopologySource {
  readonly isFixed = false
  readonly isBySentinels = true
  readonly #settings: SentinelSourceSettings
  readonly #clients = new Map<string, Promise<WireClient>>()

  constructor(settings: SentinelSourceSettings) {
    this.#settings = settings
  }

  async first(timeoutMs: number): Promise<readonly (readonly NodeView[])[]> {
    const { sentinels } = this.#settings
    const answers = await Promise.allSettled(sentinels.map((one) => this.#ask(one, timeoutMs)))
    const views = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    if (views.length > 0) return newest(views)
    const reasons = answers.map((answer) =>
      answer.status === 'rejected' ? (answer.reason as unknown) : undefined,
    )
    throw this.#nobody(reasons)
  }

  async look(): Promise<Look> {
    const { sentinels, timeoutMs } = this.#settings
    const answers = await Promise.allSettled(sentinels.map((one) => this.#ask(one, timeoutMs)))
    const views = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    return { views: newest(views), answered: views.length > 0 ? 'others' : new Set(), strangers: new Set() }
  }

  close(): void {
    for (const client of this.#clients.values()) client.then((open) => open.close()).catch(() => undefined)
    this.#clients.clear()
  }

  async #ask(sentinel: Endpoint, timeoutMs: number): Promise<readonly NodeView[]> {
    const { primaryName } = this.#settings.sentinel
    const client = await this.#client(sentinel, timeoutMs)
    const [primary, address, replicas] = await client.pipeline(
      [
        ['SENTINEL', 'MASTER', primaryName],
        ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName],
        ['SENTINEL', 'REPLICAS', primaryName],
      ],
      timeoutMs,
    )
    for (const reply of [primary, address]) {
      if (reply instanceof ReplyError) throw this.#explained(sentinel, reply)
    }
    const view = fieldsOf(primary === undefined ? null : asReply(primary, false))
    const epoch = Number(view.get('config-epoch') ?? 0)
    // The leader of a failover lists the old address with the new epoch until all replicas have followed.
    const [host, port] = textsOf(address === undefined ? null : asReply(address, false))
    const at = { host: host ?? '', port: Number(port) }
    if (at.host === '' || !(at.port > 0)) throw this.#explained(sentinel, undefined)
    this.#settings.nodeTimeout(Number(view.get('down-after-milliseconds')))
    const id = addressOf(at)
    const slots = [[0, SLOTS - 1]] as const
    const list = replicas === undefined || replicas instanceof ReplyError ? [] : asReply(replicas, false)
    const followers = (Array.isArray(list) ? list : []).map(fieldsOf).flatMap((one): NodeView[] => {
      const place = { host: one.get('ip') ?? '', port: Number(one.get('port')) }
      if (addressOf(place) === id) return []
      // What is down, or is only remembered from a failover, would be no more than an address to try in vain.
      if (/s_down|o_down|disconnected/.test(one.get('flags') ?? '')) return []
      return [
        {
          id: addressOf(place),
          ...place,
          role: 'replica',
          primary: id,
          epoch,
          failed: false,
          isSelf: false,
          slots: [],
        },
      ]
    })
    return [{ id, ...at, role: 'primary', epoch, failed: false, isSelf: false, slots }, ...followers]
  }

  /** One connection for each, made anew when it is lost. */
  async #client(sentinel: Endpoint, timeoutMs: number): Promise<WireClient> {
    const address = addressOf(sentinel)
    const { sentinel: access, tls, clientName } = this.#settings
    const known = this.#clients.get(address)
    if (known !== undefined) return await known
    const forget = () => this.#clients.get(address) === made && this.#clients.delete(address)
    const { username, password } = access
    const made = WireClient.connect({
      ...sentinel,
      username,
      password,
      tls,
      clientName,
      timeoutMs,
      onEnd: forget,
    })
    this.#clients.set(address, made)
    made.catch(forget)
    return await made
  }

  #explained(sentinel: Endpoint, refusal: ReplyError | undefined): Error {
    const at = addressOf(sentinel)
    const { primaryName } = this.#settings.sentinel
    if (refusal !== undefined && /no such master/i.test(refusal.message)) {
      return new ConfigurationError(`the sentinel ${at} watches no primary named ${primaryName}`, {
        cause: refusal,
      })
    }
    if (refusal !== undefined && /unknown command/i.test(refusal.message)) {
      return new ConfigurationError(`${at} is no sentinel: with mode 'sentinel', nodes are the sentinels`, {
        cause: refusal,
      })
    }
    return refusal ?? new ConfigurationError(`the sentinel ${at} does not say where ${primaryName} is`)
  }

  #nobody(reasons: readonly unknown[]): SlotwiseError {
    return unreachable(this.#settings.sentinels.map(addressOf), reasons)
  }
}

/** The answers of the highest epoch. */
function newest(views: readonly (readonly NodeView[])[]): readonly (readonly NodeView[])[] {
  const latest = Math.max(...views.map(([first]) => first?.epoch ?? 0))
  return views.filter(([first]) => first?.epoch === latest)
}

function textsOf(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : []
}

function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const flat = textsOf(reply)
  return new Map(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? ''] as const] : [])),
  )
}
