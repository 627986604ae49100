import type { RedisPort, Reply } from '../../redis/port.js'
import { type BigKey, sampleKeys } from './big-keys.js'
import type { Interview } from './interview.js'
import { type Knock, knock } from './knock.js'
import type { NodeObservation, Observed } from './observation.js'
import type { Examine } from './observe.js'

/** One answer to TIME, and when it was asked and heard by this process's clock. */
export interface TimeSample {
  readonly sentAt: number
  readonly heardAt: number
  readonly serverMs: number
}

/** What a diagnosis needs beyond what tells of the health. */
export interface Examination {
  readonly times: readonly TimeSample[]
  /** What became of a plain connection to where the node says it is. */
  readonly knock: Knock
  /** Flags of the user `default`; empty where they were not told. */
  readonly defaultUser: readonly string[]
  /** Dangerous commands that the user `default` may run. */
  readonly dangerous: readonly string[]
  /** What LATENCY DOCTOR says. */
  readonly latency: string
  readonly bigKeys: readonly BigKey[]
}

export type ExaminedNode = NodeObservation & Examination
export type Examined = Observed<ExaminedNode>

/** How deep to look. */
export interface Depth {
  readonly timeoutMs: number
  readonly bigKeyBytes: number
  readonly sampledKeys: number
}

const TIMES = 5

/** Each with arguments that would do harm, which a dry run does not. */
const DANGEROUS = [
  ['FLUSHALL'],
  ['KEYS', '*'],
  ['SHUTDOWN', 'NOSAVE'],
  ['CONFIG', 'SET', 'maxmemory', '1'],
  ['MODULE', 'LOAD', 'x'],
] as const

export function examination(port: RedisPort, depth: Depth): Examine<Examination> {
  return async (interview, node) => {
    const knocking = knock(port.setup?.reach(node) ?? node, depth.timeoutMs)
    const [user, allowed, latency, times, bigKeys] = await Promise.all([
      interview.ask(['ACL', 'GETUSER', 'default']),
      allowedOf(interview),
      interview.text(['LATENCY', 'DOCTOR']),
      timesOf(interview),
      node.role === 'primary' ? sampleKeys(interview, depth) : [],
    ])
    return {
      times,
      knock: await knocking,
      defaultUser: flagsOf(user),
      dangerous: allowed,
      latency,
      bigKeys,
    }
  }
}

async function timesOf(interview: Interview): Promise<readonly TimeSample[]> {
  const samples: TimeSample[] = []
  for (let i = 0; i < TIMES; i++) {
    const sentAt = performance.now()
    const reply = await interview.ask(['TIME'])
    const heardAt = performance.now()
    if (!Array.isArray(reply)) break
    const [seconds, micros] = (reply as readonly Reply[]).map(Number)
    samples.push({ sentAt, heardAt, serverMs: (seconds ?? 0) * 1000 + (micros ?? 0) / 1000 })
  }
  return samples
}

function flagsOf(user: Reply | undefined): readonly string[] {
  const at = Array.isArray(user) ? (user as readonly Reply[]).indexOf('flags') : -1
  const flags = at < 0 ? [] : (user as readonly Reply[])[at + 1]
  return Array.isArray(flags) ? flags.map(String) : []
}

async function allowedOf(interview: Interview): Promise<readonly string[]> {
  const answers = await Promise.all(
    DANGEROUS.map((command) => interview.ask(['ACL', 'DRYRUN', 'default', ...command])),
  )
  return DANGEROUS.filter((_, index) => answers[index] === 'OK').map(([name, sub]) =>
    name === 'CONFIG' || name === 'MODULE' ? `${name} ${sub}` : name,
  )
}
