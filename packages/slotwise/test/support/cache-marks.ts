import { createHash } from 'node:crypto'
import settle from '../../src/cache/settle.lua.js'
import {
  type Key,
  keyOf,
  type RedisPort,
  readKey,
  type ScriptCall,
  type ScriptSource,
} from '../../src/redis/index.js'
import type { Call } from '../cluster/cache/watched-port.js'
import { type Less, SOAK } from './cache-task.js'
import { portWith } from './port-with.js'
import { sharedNow } from './versions.js'

/** More than any row is invalidated by between a loss and the look for it. */
const KEPT = 2000

const PUSH = `redis.call('RPUSH', KEYS[2], ARGV[#ARGV]) redis.call('LTRIM', KEYS[2], -${KEPT}, -1)`

function marked(name: string, source: string): ScriptSource {
  const text = `${PUSH}\n${source}`
  const sha1 = createHash('sha1').update(text).digest('hex')
  return { name, keys: ['entry', 'marks'], args: [], sha1, source: text }
}

const MARKED_DEL = marked('marked/del', "return redis.call('DEL', KEYS[1])")
const MARKED_SETTLE = marked('marked/settle', settle.source)

const marksKey = (row: string): Key => keyOf({ ...SOAK, pattern: 'marks' }, row)

/**
 * A port under which whatever takes an entry away leaves a mark beside it, in the same script: which version of the row
 * had been committed when it was sent, and when. So a server has the mark if and only if it has heard of the invalidation,
 * whatever was replicated, lost or repeated.
 */
export function marking(port: RedisPort, versionOf: (row: number) => number): RedisPort {
  const withMark = (call: Call): Call => {
    const isDel = !('script' in call) && call.command[0] === 'DEL'
    if (!isDel && !('script' in call && call.script.name === settle.name)) return call
    const [entry, args] = 'script' in call ? [call.keys[0], call.args] : [call.key, []]
    const row = rowOf(entry)
    const mark = `${versionOf(Number(row))} ${sharedNow()}`
    const script = isDel ? MARKED_DEL : MARKED_SETTLE
    return {
      script,
      keys: [entry, marksKey(row)],
      args: [...args, mark],
      repeat: 'safe',
    } satisfies ScriptCall
  }
  const members: Pick<RedisPort, 'call' | 'pipeline' | 'writeThenWait'> = {
    call: (call, options) => port.call(withMark(call), options),
    pipeline: (calls, options) => port.pipeline(calls.map(withMark), options),
    writeThenWait: (call, options) => port.writeThenWait(withMark(call), options),
  }
  return portWith(port, members)
}

function rowOf(key: Key): string {
  const id = readKey(key)?.id
  if (id === undefined || id.hashed) throw new Error(`${key} is no row`)
  return id.words.join(':')
}

/**
 * Whether the server that answers for the row now has never heard of what was promised: of no invalidation that was sent
 * after the commit of that version and before the promise was given. The promise followed an acknowledgement, so a
 * failover has lost it; nothing else takes a mark away.
 */
export async function isLost(
  port: RedisPort,
  { row, floor, promisedAt }: Pick<Less, 'row' | 'floor' | 'promisedAt'>,
): Promise<boolean> {
  const key = marksKey(String(row))
  const marks = await port.call({ key, command: ['LRANGE', key, 0, -1], repeat: 'safe' })
  if (!Array.isArray(marks)) throw new Error(`${key} holds no marks`)
  const known = marks.map((mark) => String(mark).split(' ').map(Number))
  const [oldest] = known
  if (known.length >= KEPT && (oldest?.[1] ?? 0) > promisedAt)
    throw new Error(`the marks of row ${row} do not reach back to the promise`)
  return !known.some(([version = 0, sentAt = 0]) => version >= floor && sentAt <= promisedAt)
}
