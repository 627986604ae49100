import { ConfigurationError, ReplyError } from '../errors.js'
import type { CallOptions } from '../options.js'
import type { RedisPort, Reply } from '../redis/port.js'

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
  const runs = await ask(port, ['INFO', 'server'], options)
  if (runs.length === 0) return undefined
  const isCluster = /cluster_enabled:1/.test((await ask(port, ['INFO', 'cluster'], options)).join('\n'))
  const views = isCluster ? await ask(port, ['CLUSTER', 'NODES'], options) : []
  return {
    runs: new Set(runs.flatMap((text) => /run_id:(\w+)/.exec(text)?.[1] ?? [])),
    members: new Set(views.flatMap((view) => view.match(/^\w{40}(?= )/gm) ?? [])),
  }
}

async function ask(
  port: RedisPort,
  command: readonly [string, ...string[]],
  options: CallOptions,
): Promise<readonly string[]> {
  const answers = await port.onEachPrimary(command, options)
  const said: string[] = []
  for (const { node, result } of answers) {
    if (result.status === 'fulfilled') said.push(textOf(result.value))
    else if (result.reason instanceof ReplyError) {
      throw new ConfigurationError(
        `whether ${node.host}:${node.port} is a server of its own is not known, since it refuses ${command.join(' ')}`,
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
