import { type Answer, CommandError, OK, Status, syntaxError, wholeNumber } from './answer.js'
import { globbed } from './glob.js'
import type { Keyspace } from './keyspace.js'

/** What a command finds when it runs. */
export interface Surroundings {
  readonly keys: Keyspace
  /** Whole milliseconds; the same for all that a script does. */
  readonly nowMs: number
  readonly nowUs: number
  /** Tells who listens on a sharded channel; how many did. */
  publish(channel: string, message: string): number
  /** All sections of INFO in one. */
  info(): string
}

type Command = (args: readonly string[], at: Surroundings) => Answer

/** Checks how many arguments there are: exactly so many, or from `least` on. */
const counted =
  (counts: number | { readonly least: number }, command: Command): Command =>
  (args, at) => {
    const fits = typeof counts === 'number' ? args.length === counts : args.length >= counts.least
    if (!fits) throw new CommandError('ERR wrong number of arguments')
    return command(args, at)
  }

const key = (args: readonly string[]): string => args[0] ?? ''
const bit = (is: boolean): number => Number(is)

/** Sets the end of a key, by how far it is from now or by when it is. */
const expire =
  (unitMs: number, isMoment: boolean): Command =>
  (args, { keys, nowMs }) => {
    const end = wholeNumber(args[1]) * unitMs
    return bit(keys.expireAt(key(args), isMoment ? end : nowMs + end, nowMs))
  }

const left =
  (unitMs: number): Command =>
  (args, { keys, nowMs }) => {
    if (!keys.has(key(args), nowMs)) return -2
    const end = keys.expiresAt(key(args), nowMs)
    return end === undefined ? -1 : Math.round((end - nowMs) / unitMs)
  }

const remove: Command = (args, { keys, nowMs }) => args.filter((one) => keys.remove(one, nowMs)).length

const add =
  (sign: number): Command =>
  (args, { keys, nowMs }) => {
    const sum = wholeNumber(keys.text(key(args), nowMs) ?? '0') + sign * wholeNumber(args[1] ?? '1')
    keys.put(key(args), String(sum), keys.expiresAt(key(args), nowMs))
    return sum
  }

/** SET, with NX, XX, GET, KEEPTTL and the ways to say when it ends. */
const store: Command = ([at = '', value = '', ...options], { keys, nowMs }) => {
  const words = options.map((word) => word.toUpperCase()).values()
  const flags = new Set<string>()
  let end: number | undefined
  for (const word of words) {
    if (/^(PX|EX|PXAT|EXAT)$/.test(word)) {
      const number = wholeNumber(words.next().value) * (word.startsWith('E') ? 1000 : 1)
      if (number <= 0) throw new CommandError("ERR invalid expire time in 'set' command")
      end = word.endsWith('AT') ? number : nowMs + number
    } else if (/^(NX|XX|GET|KEEPTTL)$/.test(word)) flags.add(word)
    else throw syntaxError()
  }
  const before = flags.has('GET') ? (keys.text(at, nowMs) ?? null) : null
  if (flags.has(keys.has(at, nowMs) ? 'NX' : 'XX')) return before
  keys.put(at, value, flags.has('KEEPTTL') ? keys.expiresAt(at, nowMs) : end)
  return flags.has('GET') ? before : OK
}

const hashSet: Command = ([at = '', ...pairs], { keys, nowMs }) => {
  if (pairs.length % 2 === 1) throw new CommandError('ERR wrong number of arguments')
  return keys.changeHash(at, nowMs, (hash) => {
    const before = hash.size
    for (let i = 0; i < pairs.length; i += 2) hash.set(pairs[i] ?? '', pairs[i + 1] ?? '')
    return hash.size - before
  })
}

/** Where a bit of a text is: the first is the highest of its byte. */
function place(offset: string | undefined): { readonly byte: number; readonly mask: number } {
  const at = wholeNumber(offset)
  if (at < 0 || at >= 2 ** 32) throw new CommandError('ERR bit offset is not an integer or out of range')
  return { byte: Math.floor(at / 8), mask: 0x80 >> (at % 8) }
}

const flat = (hash: ReadonlyMap<string, string> | undefined): readonly string[] => [...(hash ?? [])].flat()
const one = { least: 1 }

/** Commands by their names: those that the patterns use, and their next of kin for tests. */
const COMMANDS: Readonly<Record<string, Command>> = {
  PING: () => new Status('PONG'),
  TIME: (_, { nowUs }) => [String(Math.floor(nowUs / 1_000_000)), String(nowUs % 1_000_000)],
  CONFIG: ([word = '', pattern = '']) => {
    if (word.toUpperCase() !== 'GET') throw new CommandError('ERR the Redis in memory has no settings')
    const wanted = globbed(pattern)
    return Object.entries(SETTINGS).flatMap((setting) => (wanted.test(setting[0]) ? setting : []))
  },
  // Without a bound.
  INFO: (_, at) => at.info(),
  SPUBLISH: counted(2, ([channel = '', message = ''], at) => at.publish(channel, message)),

  DEL: counted(one, remove),
  UNLINK: counted(one, remove),
  EXISTS: counted(one, (args, { keys, nowMs }) => args.filter((name) => keys.has(name, nowMs)).length),
  TYPE: counted(1, (args, { keys, nowMs }) => {
    const value = keys.value(key(args), nowMs)
    return new Status(value === undefined ? 'none' : typeof value === 'string' ? 'string' : 'hash')
  }),
  PTTL: counted(1, left(1)),
  TTL: counted(1, left(1000)),
  PEXPIRE: counted(2, expire(1, false)),
  EXPIRE: counted(2, expire(1000, false)),
  PEXPIREAT: counted(2, expire(1, true)),
  EXPIREAT: counted(2, expire(1000, true)),
  PERSIST: counted(1, (args, { keys, nowMs }) => {
    if (keys.expiresAt(key(args), nowMs) === undefined) return 0
    return bit(keys.expireAt(key(args), undefined, nowMs))
  }),

  GET: counted(1, (args, { keys, nowMs }) => keys.text(key(args), nowMs) ?? null),
  SET: counted({ least: 2 }, store),
  GETDEL: counted(1, (args, { keys, nowMs }) => {
    const value = keys.text(key(args), nowMs)
    keys.remove(key(args), nowMs)
    return value ?? null
  }),
  STRLEN: counted(1, (args, { keys, nowMs }) => (keys.text(key(args), nowMs) ?? '').length),
  APPEND: counted(2, (args, { keys, nowMs }) => {
    const value = (keys.text(key(args), nowMs) ?? '') + (args[1] ?? '')
    keys.put(key(args), value, keys.expiresAt(key(args), nowMs))
    return value.length
  }),
  GETBIT: counted(2, ([at = '', offset], { keys, nowMs }) => {
    const { byte, mask } = place(offset)
    return bit(((keys.text(at, nowMs) ?? '').charCodeAt(byte) & mask) !== 0)
  }),
  SETBIT: counted(3, ([at = '', offset, value], { keys, nowMs }) => {
    if (value !== '0' && value !== '1') throw new CommandError('ERR bit is not an integer or out of range')
    const { byte, mask } = place(offset)
    const text = (keys.text(at, nowMs) ?? '').padEnd(byte + 1, '\0')
    const before = text.charCodeAt(byte)
    const after = String.fromCharCode(value === '1' ? before | mask : before & ~mask)
    keys.put(at, text.slice(0, byte) + after + text.slice(byte + 1), keys.expiresAt(at, nowMs))
    return bit((before & mask) !== 0)
  }),
  INCR: counted(1, add(1)),
  DECR: counted(1, add(-1)),
  INCRBY: counted(2, add(1)),
  DECRBY: counted(2, add(-1)),

  HSET: counted({ least: 3 }, hashSet),
  HMSET: counted({ least: 3 }, (args, at) => {
    hashSet(args, at)
    return OK
  }),
  HSETNX: counted(3, ([at = '', field = '', value = ''], { keys, nowMs }) =>
    keys.changeHash(at, nowMs, (hash) => bit(!hash.has(field) && hash.set(field, value).has(field))),
  ),
  HGET: counted(2, (args, { keys, nowMs }) => keys.hash(key(args), nowMs)?.get(args[1] ?? '') ?? null),
  HMGET: counted({ least: 2 }, ([at = '', ...fields], { keys, nowMs }) => {
    const hash = keys.hash(at, nowMs)
    return fields.map((field) => hash?.get(field) ?? null)
  }),
  HGETALL: counted(1, (args, { keys, nowMs }) => flat(keys.hash(key(args), nowMs))),
  HKEYS: counted(1, (args, { keys, nowMs }) => [...(keys.hash(key(args), nowMs)?.keys() ?? [])]),
  HVALS: counted(1, (args, { keys, nowMs }) => [...(keys.hash(key(args), nowMs)?.values() ?? [])]),
  HSTRLEN: counted(
    2,
    (args, { keys, nowMs }) => (keys.hash(key(args), nowMs)?.get(args[1] ?? '') ?? '').length,
  ),
  HLEN: counted(1, (args, { keys, nowMs }) => keys.hash(key(args), nowMs)?.size ?? 0),
  HEXISTS: counted(2, (args, { keys, nowMs }) =>
    bit(keys.hash(key(args), nowMs)?.has(args[1] ?? '') ?? false),
  ),
  HDEL: counted({ least: 2 }, ([at = '', ...fields], { keys, nowMs }) =>
    keys.changeHash(at, nowMs, (hash) => fields.filter((field) => hash.delete(field)).length),
  ),
  HINCRBY: counted(3, ([at = '', field = '', by], { keys, nowMs }) =>
    keys.changeHash(at, nowMs, (hash) => {
      const sum = wholeNumber(hash.get(field) ?? '0') + wholeNumber(by)
      hash.set(field, String(sum))
      return sum
    }),
  ),
}

/** All that is asked of its settings: it never evicts, and keeps what it has answered. */
const SETTINGS: Readonly<Record<string, string>> = {
  'maxmemory-policy': 'noeviction',
  appendonly: 'yes',
  appendfsync: 'always',
}

/** @throws CommandError what the server would answer */
export function execute([name = '', ...args]: readonly string[], at: Surroundings): Answer {
  const word = name.toUpperCase()
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
  if (command !== undefined) return command(args, at)
  throw new CommandError(`ERR the Redis in memory does not know the command ${word}`)
}
