import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'slotwise/ioredis'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import { startBareServers } from '../../packages/slotwise/test/support/bare-servers.js'
import type { Place } from './subject.js'

const fresh = (): string => randomUUID().slice(0, 4)

export const placeIn = ({ nodes }: LocalCluster, port: RedisPort): Place => ({
  kind: 'cluster',
  nodes: nodes.map(({ host, port: at }) => ({ host, port: at })),
  ports: [port],
  prefix: fresh(),
})

/** Three servers that know nothing of each other. */
export async function startThree(): Promise<{ place(): Place } & AsyncDisposable> {
  const servers = await startBareServers(3, { 'cluster-enabled': 'no' })
  const ports = await Promise.all(servers.nodes.map((node) => connect({ nodes: [node], mode: 'standalone' })))
  const nodes = servers.addresses.map(({ port }) => ({ host: '127.0.0.1', port }))
  return {
    place: () => ({ kind: 'nodes', nodes, ports, prefix: fresh() }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(ports.map((port) => port.close()))
      await servers[Symbol.asyncDispose]()
    },
  }
}

/** Until servers are up for longer than any lock: before that ours cannot know whether they have forgotten some. */
export async function upFor(ports: readonly RedisPort[], ms: number): Promise<void> {
  for (;;) {
    const sections = await each(ports, ['INFO', 'server'])
    const least = Math.min(...sections.map((one) => Number(/uptime_in_seconds:(\d+)/.exec(one)?.[1])))
    if ((least - 1) * 1000 > ms) return
    await sleep(200)
  }
}

/** Calls of a command, and microseconds that they took with whatever they ran. */
export interface Calls {
  readonly calls: number
  readonly us: number
}

/** What the servers did, as they tell it themselves (INFO commandstats and stats). */
export interface Served {
  /** What was sent to them. */
  readonly sent: Calls
  /** What scripts ran, by command. */
  readonly inside: Readonly<Record<string, Calls>>
  readonly bytesIn: number
  readonly bytesOut: number
}

/** Counts from here on. */
export async function count(ports: readonly RedisPort[]): Promise<void> {
  await each(ports, ['CONFIG', 'RESETSTAT'])
}

/** What there was since {@link count}. */
export async function counted(ports: readonly RedisPort[], sends: readonly string[] = []): Promise<Served> {
  const outer = new Set([...SENT, ...sends])
  const sent = { calls: 0, us: 0 }
  const inside: Record<string, Calls> = {}
  let [bytesIn, bytesOut] = [0, 0]
  for (const section of await each(ports, ['INFO', 'everything'])) {
    for (const [, name = '', calls, us] of section.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
      if (outer.has(name)) {
        sent.calls += Number(calls)
        sent.us += Number(us)
      } else if (INSIDE.has(name)) {
        const before = inside[name] ?? { calls: 0, us: 0 }
        inside[name] = { calls: before.calls + Number(calls), us: before.us + Number(us) }
      }
    }
    const bytes = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(section)?.[1] ?? 0)
    bytesIn += bytes('total_net_input_bytes') - bytes('total_net_repl_input_bytes')
    bytesOut += bytes('total_net_output_bytes') - bytes('total_net_repl_output_bytes')
  }
  return { sent, inside, bytesIn, bytesOut }
}

const SENT = 'eval evalsha ssubscribe sunsubscribe'.split(' ')
/** What scripts of locks run. */
const INSIDE = new Set('time info get set exists hmget hset hdel del pttl pexpire spublish'.split(' '))

async function each(
  ports: readonly RedisPort[],
  command: readonly [string, ...string[]],
): Promise<readonly string[]> {
  const answers = await Promise.all(ports.map((port) => port.onEachPrimary(command)))
  return answers.flat().map(({ result }) => {
    if (result.status === 'rejected') throw result.reason
    return String(result.value)
  })
}
