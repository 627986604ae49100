import { createHash } from 'node:crypto'
import { ConfigurationError } from '../../errors.js'
import { shown } from '../../options.js'
import type { CommandCall, RedisPort, ScriptCall } from '../../redis/port.js'
import type { ScriptSource } from '../../redis/script.js'
import { slotOf } from '../../slots.js'

/** Servers whose clocks are off, as scripts see them: see {@link skewed}. */
export interface SkewedServers {
  /** In the place of the port that was given. */
  readonly port: RedisPort
  /**
   * From the next call on, clocks are ahead by so many milliseconds, or behind where they are negative. Fractions count down to the
   * microsecond; 0 is right again.
   *
   * @param node id or `host:port` of the only one that is off so @defaultValue all, those that were named before among them
   * @throws ConfigurationError there is no such node
   */
  skew(ms: number, node?: string): void
}

/**
 * Sets the clocks of real servers wrong, for the scripts that run through this port: `TIME` tells each of them the server's time,
 * and so much more or less. The servers' own clocks go on as they are, and so does whoever else uses them. A script comes with a few
 * lines of Lua before its own and one more argument, which it does not see.
 *
 * Not moved: when keys expire, which the server does by its own clock. Whose skew a call gets is decided by who serves its key
 * when it is made: one that is redirected keeps it. A Redis in memory has a clock of its own, `clock`.
 *
 * @example
 * ```ts
 * import { connect } from 'slotwise/ioredis'
 * import { Locks } from 'slotwise/lock'
 * import { skewed } from 'slotwise/testing/faults'
 *
 * const servers = skewed(await connect({ nodes: ['127.0.0.1:7000'] }))
 * const locks = new Locks(servers.port, { name: 'invoices' })
 * servers.skew(-800)
 * servers.skew(60_000, '127.0.0.1:7001')
 * console.log(await locks.tryAcquire('42', { ttlMs: 1000 }))
 * ```
 */
export function skewed(port: RedisPort): SkewedServers {
  let everywhere = 0
  const apart = new Map<string, number>()
  const wrapped = new Map<string, ScriptSource>()

  const onSkewedClock = (call: CommandCall | ScriptCall): CommandCall | ScriptCall => {
    if (!('script' in call)) return call
    const script = wrapped.get(call.script.source) ?? withSkew(call.script)
    wrapped.set(call.script.source, script)
    const owner = port.topology().ownerOf(slotOf(call.keys[0]))
    const skewUs = (owner === undefined ? undefined : apart.get(owner.id)) ?? everywhere
    return { ...call, script, args: [...call.args, skewUs] }
  }
  const changed: Pick<RedisPort, 'call' | 'pipeline' | 'writeThenWait'> = {
    call: (call, options) => port.call(onSkewedClock(call), options),
    pipeline: (calls, options) => port.pipeline(calls.map(onSkewedClock), options),
    writeThenWait: (call, options) => port.writeThenWait(onSkewedClock(call), options),
  }
  return {
    // Members of a port may be private to it, so that it can be neither spread nor extended.
    port: new Proxy(port, {
      get(target, name) {
        const member: unknown = Reflect.get(name in changed ? changed : target, name)
        return typeof member === 'function' && !(name in changed)
          ? (...args: unknown[]): unknown => Reflect.apply(member, target, args)
          : member
      },
    }),
    skew: (ms, node) => {
      const us = Math.round(ms * 1000)
      if (!Number.isSafeInteger(us))
        throw new ConfigurationError(`ms must be a number of milliseconds, got ${shown(ms)}`)
      if (node === undefined) {
        everywhere = us
        apart.clear()
        return
      }
      const known = port
        .topology()
        .nodes.find(({ id, host, port: at }) => id === node || `${host}:${at}` === node)
      if (known === undefined) throw new ConfigurationError(`there is no node ${shown(node)}`)
      apart.set(known.id, us)
    },
  }
}

/** In one line, so that errors name the lines of the script itself. */
const PRELUDE = `
  local skew, server = tonumber(table.remove(ARGV)), redis
  local function told(run)
    return function(name, ...)
      if string.upper(name) ~= 'TIME' then return run(name, ...) end
      local time = run(name)
      local us = time[1] * 1000000 + time[2] + skew
      return { string.format('%.0f', math.floor(us / 1000000)), string.format('%.0f', us % 1000000) }
    end
  end
  local redis = setmetatable({ call = told(server.call), pcall = told(server.pcall) }, { __index = server })
`.replaceAll(/\s*\n\s*/g, ' ')

function withSkew(script: ScriptSource): ScriptSource {
  const source = `${PRELUDE} ${script.source}`
  const sha1 = createHash('sha1').update(source).digest('hex')
  return { ...script, args: [...script.args, 'skew_us'], source, sha1 }
}
