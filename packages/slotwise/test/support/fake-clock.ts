import { createHash } from 'node:crypto'
import type { ScriptSource } from '../../src/redis/index.js'

/**
 * The same script by another clock: TIME is answered from one more argument, in microseconds since 1970. Keys do
 * not expire by that clock, so a test that moves it far takes care of them itself.
 */
export function withFakeClock<K extends string, A extends string>(
  script: ScriptSource<K, A>,
): ScriptSource<K, A | 'clock_us'> {
  const clock = `ARGV[${script.args.length + 1}]`
  const source = script.source.replaceAll(
    "redis.call('TIME')",
    `{string.sub(${clock}, 1, -7), string.sub(${clock}, -6)}`,
  )
  if (source === script.source) throw new Error(`${script.name} does not look at the clock`)
  const sha1 = createHash('sha1').update(source).digest('hex')
  return { ...script, args: [...script.args, 'clock_us'], source, sha1 }
}

/**
 * The same script with everything by another clock: TIME, and the expiry of its keys, which stands beside each as text
 * and not with the server.
 */
export function onAnotherClock<K extends string, A extends string>(
  script: ScriptSource<K, A>,
): ScriptSource<K, A | 'clock_us'> {
  const source = `${PRELUDE.replaceAll(/\s*\n\s*/g, ' ')} ${script.source}`
  const sha1 = createHash('sha1').update(source).digest('hex')
  return { ...script, args: [...script.args, 'clock_us'], source, sha1 }
}

/** Tells what the key holds and when it ends: `{type, content, end or false}`. */
export const STATE: ScriptSource<'key', never> = {
  name: 'test/state',
  keys: ['key'],
  args: [],
  sha1: '',
  source: `
    local kind = redis.call('TYPE', KEYS[1]).ok
    local ends = redis.call('PTTL', KEYS[1])
    if kind == 'hash' then return { kind, redis.call('HGETALL', KEYS[1]), ends } end
    return { kind, kind == 'string' and { redis.call('GET', KEYS[1]) } or {}, ends }`,
}

// Taken away, since some scripts go through all their arguments.
const PRELUDE = `
  local CLOCK = table.remove(ARGV)
  local real, now = redis, math.floor(tonumber(CLOCK) / 1000)
  local function expire(key, ms)
    if ms ~= math.floor(ms) then error('ERR value is not an integer or out of range') end
    local ends = key .. ':ends'
    if ms <= 0 then real.call('DEL', key, ends) else real.call('SET', ends, string.format('%.0f', now + ms)) end
    return 1
  end
  for _, key in ipairs(KEYS) do
    local over = real.call('GET', key .. ':ends')
    if over and now > tonumber(over) then real.call('DEL', key, key .. ':ends') end
  end
  local redis = {}
  redis.pcall = function(name, ...)
    if name == 'SET' then return redis.call(name, ...) end
    return real.pcall(name, ...)
  end
  redis.call = function(name, key, ...)
    if name == 'TIME' then return { string.sub(CLOCK, 1, -7), string.sub(CLOCK, -6) } end
    local there, ends = real.call('EXISTS', key) == 1, key .. ':ends'
    if name == 'PTTL' then
      if not there then return -2 end
      local at = real.call('GET', ends)
      return at and tonumber(at) - now or -1
    end
    if name == 'PEXPIRE' then return there and expire(key, tonumber((...))) or 0 end
    local given = { ... }
    if name == 'SET' and given[2] == 'PX' then
      real.call('SET', key, given[1])
      expire(key, tonumber(given[3]))
      return { ok = 'OK' }
    end
    if name == 'SET' then real.call('DEL', ends) end
    local reply = real.call(name, key, ...)
    if real.call('EXISTS', key) == 0 then real.call('DEL', ends) end
    return reply
  end`
