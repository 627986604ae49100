import { ConfigurationError, ReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import { readLineage } from '../redis/lineage.js'
import type { RedisPort, Reply } from '../redis/port.js'
import type { Heard } from './scripts.js'

/** Which servers a port reaches. */
export interface Identity {
  /** Of its primaries, one for each start of a process. */
  readonly runs: ReadonlySet<string>
  /** Of all members of its cluster; empty where there is none. */
  readonly members: ReadonlySet<string>
}

/**
 * Which servers a port reaches; `undefined` where none answers.
 *
 * @throws ConfigurationError one answers, and will not say
 */
export async function identityOf(port: RedisPort, options: CallOptions): Promise<Identity | undefined> {
  const runs = await ask(port, ['INFO', 'server'], IS_ITSELF, options)
  if (runs.length === 0) return undefined
  const isCluster = /cluster_enabled:1/.test(
    (await ask(port, ['INFO', 'cluster'], IS_ITSELF, options)).join('\n'),
  )
  const views = isCluster ? await ask(port, ['CLUSTER', 'NODES'], IS_ITSELF, options) : []
  return {
    runs: new Set(runs.flatMap((text) => /run_id:(\w+)/.exec(text)?.[1] ?? [])),
    members: new Set(views.flatMap((view) => view.match(/^\w{40}(?= )/gm) ?? [])),
  }
}

/** What each primary says of its reign, by its id. */
export type Reigns = ReadonlyMap<string, Heard>

/**
 * In which reign the primaries that answer are, by which the scripts know that they may have forgotten.
 *
 * @throws ConfigurationError one will not say
 */
export async function reignsOf(port: RedisPort, options: CallOptions): Promise<Reigns> {
  const [infos, times] = await Promise.all([
    askEach(port, ['INFO', 'replication'], WAS_RESTARTED, options),
    port.onEachPrimary(['TIME'], options),
  ])
  const known = new Map<string, Heard>()
  for (const { id, text } of infos) {
    const { reign } = readLineage(text, '')
    const time = times.find(({ node }) => node.id === id)?.result
    if (reign === undefined || time?.status !== 'fulfilled' || !Array.isArray(time.value)) continue
    const [seconds, micros] = time.value.map(Number)
    known.set(id, { reign, atMs: (seconds ?? 0) * 1000 + Math.floor((micros ?? 0) / 1000) })
  }
  return known
}

/** What is not known of a server that refuses a command, and what to do about it. */
interface Unknown {
  readonly whether: string
  readonly remedy: string
}

const IS_ITSELF: Unknown = { whether: 'is a server of its own', remedy: 'allow the user of the locks that' }
const WAS_RESTARTED: Unknown = {
  whether: 'was started anew and forgot locks',
  remedy: 'allow the user of the locks +info, or give these another name and quarantine: false',
}

async function ask(
  ...asked: readonly [RedisPort, readonly [string, ...string[]], Unknown, CallOptions]
): Promise<readonly string[]> {
  return (await askEach(...asked)).map(({ text }) => text)
}

async function askEach(
  port: RedisPort,
  command: readonly [string, ...string[]],
  { whether, remedy }: Unknown,
  options: CallOptions,
): Promise<readonly { readonly id: string; readonly text: string }[]> {
  const answers = await port.onEachPrimary(command, options)
  const said: { id: string; text: string }[] = []
  for (const { node, result } of answers) {
    if (result.status === 'fulfilled') said.push({ id: node.id, text: textOf(result.value) })
    else if (result.reason instanceof ReplyError) {
      throw new ConfigurationError(
        `whether ${node.host}:${node.port} ${whether} is not known, since it refuses ${command.join(' ')}; ${remedy}`,
        { cause: result.reason },
      )
    }
  }
  return said
}

const textOf = (reply: Reply): string => (typeof reply === 'string' ? reply : '')

/** @throws ConfigurationError two of the ports reach the same server, or servers of one cluster */
export function refuseSame(identities: readonly (Identity | undefined)[]): void {
  identities.forEach((one, i) => {
    for (const [j, other] of identities.entries()) {
      if (j <= i || one === undefined || other === undefined) continue
      if (meet(one.runs, other.runs)) {
        throw new ConfigurationError(
          `ports ${i} and ${j} reach the same server, which would vote twice: a majority would be fewer servers than it says, and two holders could each have one`,
        )
      }
      if (meet(one.members, other.members)) {
        throw new ConfigurationError(
          `ports ${i} and ${j} reach one cluster, whose servers do not fail apart: a failover forgets votes and a slot that moves takes them along. In one cluster use new Locks(port)`,
        )
      }
    }
  })
}

function meet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const one of a) if (b.has(one)) return true
  return false
}
