import { createHash } from 'node:crypto'
import { OutcomeUnknownError, RedisUnavailableError } from '../../../../src/errors.js'
import {
  type PortCallOptions,
  type RedisPort,
  type Reply,
  readKey,
  type ScriptSource,
} from '../../../../src/redis/index.js'
import { portWith } from '../../../support/port-with.js'
import { type Call, nameOf } from '../watched-port.js'
import type { Stage, Way } from './stage.js'

/** A change of the scripts, by which an explorer shows that it would notice. */
export interface Mutant {
  /** By the name of a script: the text with a mistake in it. */
  readonly scripts?: Readonly<Record<string, ScriptSource>>
  /** By the name of a command: the one in its place. */
  readonly commands?: Readonly<Record<string, (key: string) => readonly [string, ...string[]]>>
  /** The script that is repeated as it is when nothing is known of its outcome. */
  readonly repeated?: string
  /** Puts a mistake into the code of this process, which `vi.restoreAllMocks` takes out again. */
  readonly install?: () => void
}

/** The script with one mistake in it. */
export function mistaken(
  source: ScriptSource,
  ...changes: readonly (readonly [from: string, to: string])[]
): Mutant {
  let text = source.source
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`${source.name} does not contain ${from}`)
    text = text.replaceAll(from, to)
  }
  const sha1 = createHash('sha1').update(text).digest('hex')
  return { scripts: { [source.name]: { ...source, source: text, sha1 } } }
}

/** Whether it is asked of a tag, and not of an entry. */
export function isOfTag(call: Call): boolean {
  return readKey('script' in call ? call.keys[0] : call.key)?.pattern === 'tag'
}

/** What happened at the server, for whoever keeps the books. */
export type Executed = (who: string, name: string, call: Call, reply: Reply, sentAt: number) => void

/** The port of one process, whose every command waits for its turn and goes as the schedule says. */
export function staged(
  port: RedisPort,
  {
    stage,
    who,
    mutant = {},
    executed,
  }: { stage: Stage; who: string; mutant?: Mutant | undefined; executed: Executed },
): RedisPort {
  const run = async (call: Call, options?: PortCallOptions): Promise<Reply> => {
    stage.underWay++
    try {
      const sentAt = performance.now()
      const reply = await port.call(mutated(call, mutant), options)
      executed(who, nameOf(call), call, reply, sentAt)
      return reply
    } finally {
      stage.underWay--
    }
  }
  const call = async (one: Call, options?: PortCallOptions): Promise<Reply> => {
    const name = nameOf(one)
    // Whoever closes the port or gives up must not change what the schedule has decided.
    const rest = { ...options, signal: undefined }
    const ways: readonly Way[] = READS.has(name) ? ['plain', 'call lost'] : WAYS
    for (let lost = 1; ; lost++) {
      const way = await stage.pause(who, isOfTag(one) ? `${name} of a tag` : name, ways)
      if (way === 'plain') return await run(one, rest)
      if (READS.has(name)) throw new RedisUnavailableError(`${name}: ${way}`)
      if (way === 'reply lost') await run(one, rest)
      if (way === 'late') void stage.pause('network', `${who}'s ${name}, late`).then(() => run(one, rest))
      if (mutated(one, mutant).repeat !== 'safe' || lost === TRIES)
        throw new OutcomeUnknownError(`${name}: ${way}`, { node: 'staged' })
    }
  }
  const members: Pick<RedisPort, 'call' | 'pipeline' | 'subscribe'> = {
    subscribe: async (...given) => {
      stage.underWay++
      try {
        return await port.subscribe(...given)
      } finally {
        stage.underWay--
      }
    },
    call,
    pipeline: (calls, options) => Promise.allSettled(calls.map((one) => call(one, options))),
  }
  return portWith(port, members)
}

const WAYS: readonly Way[] = ['plain', 'reply lost', 'late', 'call lost']
const READS = new Set(['HGET', 'HMGET', 'PTTL'])
/** How often what may be repeated is tried before its caller is told that nobody knows. */
const TRIES = 2

/** The port of somebody who makes the mistake, and whom nobody holds up. */
export function mistakenly(port: RedisPort, mutant: Mutant = {}): RedisPort {
  const members: Pick<RedisPort, 'call' | 'pipeline'> = {
    call: (call, options) => port.call(mutated(call, mutant), options),
    pipeline: (calls, options) =>
      port.pipeline(
        calls.map((call) => mutated(call, mutant)),
        options,
      ),
  }
  return portWith(port, members)
}

function mutated(call: Call, { scripts = {}, commands = {}, repeated }: Mutant): Call {
  if ('script' in call) {
    if (call.script.name === repeated) return { ...call, repeat: 'safe' }
    const script = scripts[call.script.name]
    return script === undefined ? call : { ...call, script }
  }
  const command = commands[call.command[0]]
  return command === undefined ? call : { ...call, command: command(call.key) }
}
