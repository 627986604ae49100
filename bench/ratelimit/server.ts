import { randomUUID } from 'node:crypto'
import type { LocalCluster } from 'slotwise/local'
import type { RedisPort } from 'slotwise/redis'
import type { Place } from './subject.js'

export const placeIn = ({ nodes }: LocalCluster): Place => ({
  nodes: nodes.map(({ host, port }) => ({ host, port })),
  prefix: randomUUID().slice(0, 4),
})

/** What the servers did for scripts meanwhile, as they tell it themselves (INFO commandstats). */
export interface Served {
  /** Scripts that were run. */
  readonly scripts: number
  /** Commands that those ran. */
  readonly inside: number
  /** Microseconds that they took, with what they ran. */
  readonly us: number
  /** Those of what they ran. */
  readonly insideUs: number
}

export async function served(port: RedisPort, act: () => Promise<unknown>): Promise<Served> {
  await each(port, ['CONFIG', 'RESETSTAT'])
  await act()
  const sections = await each(port, ['INFO', 'commandstats'])
  const sum = { scripts: 0, inside: 0, us: 0, insideUs: 0 }
  for (const [, name = '', calls, us] of sections
    .join('\n')
    .matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    if (name === 'evalsha' || name === 'eval') {
      sum.scripts += Number(calls)
      sum.us += Number(us)
    } else if (INSIDE.has(name)) {
      sum.inside += Number(calls)
      sum.insideUs += Number(us)
    }
  }
  return sum
}

/** What scripts of limiters run. */
const INSIDE = new Set('time get set incr incrby pttl expire pexpire hmget hset del exists decr'.split(' '))

async function each(port: RedisPort, command: readonly [string, ...string[]]): Promise<readonly string[]> {
  const answers = await port.onEachPrimary(command)
  return answers.map(({ result }) => {
    if (result.status === 'rejected') throw result.reason
    return String(result.value)
  })
}
