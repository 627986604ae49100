import { UnexpectedReplyError } from '../../errors.js'
import { type Key, keyOf } from '../../keys.js'
import type { CallOptions } from '../../options.js'
import { randomTag } from '../../random.js'
import type { RedisPort, Reply, ScriptCall } from '../../redis/port.js'
import { defineScript } from '../../redis/script.js'
import { slotOf } from '../../slots.js'
import appendSource from './append.lua.js'
import readSource from './read.lua.js'

const append = defineScript(appendSource, { repeat: 'safe', decode: Number })
const read = defineScript(readSource, { repeat: 'safe', decode: pageOf })

/** How long a log is kept after its last entry; whoever has not read it by then is told that something was missed. */
const FOR_MS = 86_400_000
/** So many names go into one entry. */
const IN_ONE = 100
/** So many entries are read at a time. */
const AT_A_TIME = 500

/** Stands in a log for everything of its space: no name is empty. */
export const EVERYTHING = ''

/** Of which logs, and how long they are. */
export interface ChangeLogSettings {
  /** What tells in them: of those with different patterns, nobody hears what the others tell. */
  readonly pattern: 'changes' | 'published'
  readonly name: string
  readonly logs: number
  /** So many entries of each stay. */
  readonly keep: number
  /** What of a name decides which log has it. @defaultValue all of it */
  readonly bare?: (name: string) => string
}

/** How far a log was read: the number of the entry read last, and its tag. */
export interface Position {
  readonly number: number
  readonly tag: string
}

/** What was read of a log, or that it cannot be read on from there. */
export type Page =
  | { readonly position: Position; readonly names: readonly string[]; readonly isLast: boolean }
  | 'missed'

/** Names of what is out of date, in logs that are spread over the slots: those of one name are in one log, in their order. */
export class ChangeLog {
  readonly port: RedisPort
  readonly logs: readonly Key[]
  readonly #settings: ChangeLogSettings

  constructor(port: RedisPort, settings: ChangeLogSettings) {
    this.port = port
    const space = { namespace: port.namespace, pattern: settings.pattern, name: settings.name }
    this.logs = Array.from({ length: settings.logs }, (_, n) => keyOf(space, [n]))
    this.#settings = settings
  }

  /** Which of the logs has it. */
  indexOf(name: string): number {
    const { bare = (same) => same } = this.#settings
    return slotOf(bare(name)) % this.logs.length
  }

  /** What appends the names, each to its log. */
  appending(names: readonly string[]): readonly ScriptCall[] {
    const byLog = new Map<number, string[]>()
    for (const name of names) {
      const at = this.indexOf(name)
      byLog.set(at, [...(byLog.get(at) ?? []), name])
    }
    return [...byLog].flatMap(([at, all]) => {
      const log = this.logs[at]
      if (log === undefined) return []
      return Array.from({ length: Math.ceil(all.length / IN_ONE) }, (_, i) =>
        this.#append(log, all.slice(i * IN_ONE, (i + 1) * IN_ONE)),
      )
    })
  }

  /** What says in each of the logs that everything may have changed. */
  appendingEverything(): readonly ScriptCall[] {
    return this.logs.map((log) => this.#append(log, [EVERYTHING]))
  }

  #append(log: Key, names: readonly string[]): ScriptCall {
    const { keep } = this.#settings
    const args = { tag: randomTag(8), items: JSON.stringify(names), keep, for_ms: FOR_MS }
    return append.call({ log }, args)
  }

  /** The end of a log. */
  async end(log: Key, options: CallOptions): Promise<Position> {
    const page = await this.#read(log, { number: -1, tag: '' }, options)
    if (page === 'missed') throw new UnexpectedReplyError('the end of a log was answered with something else')
    return page.position
  }

  /** What was appended behind the position. */
  async after(log: Key, position: Position, options: CallOptions): Promise<Page> {
    return await this.#read(log, position, options)
  }

  async #read(log: Key, { number, tag }: Position, options: CallOptions): Promise<Page> {
    const args = { after: number, tag: Buffer.from(tag, 'latin1'), most: AT_A_TIME }
    return await read.run(this.port, { log }, args, { ...options, binary: true })
  }
}

function pageOf(reply: Reply): Page {
  const [number, tag, ...entries] = Array.isArray(reply) ? (reply as readonly Reply[]) : []
  if (number === -1) return 'missed'
  if (typeof number !== 'number' || !Buffer.isBuffer(tag)) {
    throw new UnexpectedReplyError('a log was answered with something else than its entries')
  }
  return {
    position: { number, tag: tag.toString('latin1') },
    names: entries.flatMap((entry) => JSON.parse(String(entry)) as string[]),
    isLast: entries.length < AT_A_TIME,
  }
}
