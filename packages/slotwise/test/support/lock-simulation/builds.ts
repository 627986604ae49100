import { randomBytes } from 'node:crypto'
import type { Authority } from '../../../src/lock/authority.js'
import type { Clocks } from '../../../src/lock/deadline.js'
import { Locks } from '../../../src/lock/index.js'
import { slotOptions } from '../../../src/lock/one-slot.js'
import { Quorum } from '../../../src/lock/quorum.js'
import { defineScript, type Key, keyOf, type RedisPort, type ScriptSource } from '../../../src/redis/index.js'
import type { Twin } from '../../../src/testing/lua/index.js'
import { compiledTwin } from '../compiled-twin.js'
import { type LockBuild, MAX_TTL_MS, type SimulatedHold } from './simulation.js'

/** The locks of this package, in one slot. */
export const oneSlot = ({
  quarantine = true,
  scripts,
}: {
  readonly quarantine?: boolean
  readonly scripts?: readonly Twin[]
} = {}): LockBuild => ({
  nodes: 1,
  scripts,
  checked: { exclusion: quarantine ? 'holders' : 'effects' },
  open: ({ ports: [port], clocks }) => {
    const options = { name: 'locks', maxTtlMs: MAX_TTL_MS, quarantine, evictionCheck: 'off' } as const
    const locks = new Locks(port as RedisPort, options, clocks)
    return { acquire: (resource, asked) => locks.acquire(resource, asked) }
  },
})

/** The locks of this package, by a majority of nodes. */
export const redlock = (
  nodes: number,
  { quarantine = true, scripts }: { readonly quarantine?: boolean; readonly scripts?: readonly Twin[] } = {},
): LockBuild => ({
  nodes,
  scripts,
  checked: { exclusion: 'holders' },
  open: ({ ports, clocks }) => {
    const options = { name: 'locks', maxTtlMs: MAX_TTL_MS, quarantine, evictionCheck: 'off' } as const
    const locks = Locks.redlock(ports, options, clocks)
    return { acquire: (resource, asked) => locks.acquire(resource, asked) }
  },
})

/** The same, whose holders do not count how long they asked, and so never look whether anything is left of their time. */
export const redlockWithoutValidity = (nodes: number): LockBuild => ({
  ...redlock(nodes),
  open: ({ ports, clocks }) => {
    const options = { name: 'locks', maxTtlMs: MAX_TTL_MS, evictionCheck: 'off' } as const
    let askedMs = 0
    const majority = new Quorum(ports, clocks, { ...slotOptions(options, 'lock'), nodeTimeoutMs: undefined })
    const stopped: Clocks = {
      monotonicMs: () => clocks.monotonicMs() - askedMs,
      wallMs: () => clocks.wallMs() - askedMs,
      after: (ms, then) => clocks.after(ms, then),
      onStep: (listener) => clocks.onStep(listener),
    }
    const timeless: Authority = {
      ready: () => majority.ready(),
      acquire: async (ask, call) => {
        const from = clocks.monotonicMs()
        return await majority.acquire(ask, call).finally(() => {
          askedMs += clocks.monotonicMs() - from
        })
      },
      extend: (...asked) => majority.extend(...asked),
      release: (...asked) => majority.release(...asked),
      turn: (...asked) => majority.turn(...asked),
      close: () => majority.close(),
    }
    const locks = new Locks(ports[0] as RedisPort, options, stopped, timeless)
    return { acquire: (resource, asked) => locks.acquire(resource, asked) }
  },
})

/** The twin of a script with a mistake in it, in the place of the script's own. */
export function mistaken(source: ScriptSource, right: string, wrong: string): Twin {
  const changed = source.source.replace(right, wrong)
  if (changed === source.source) throw new Error(`${source.name} does not say ${right}`)
  return { ...compiledTwin({ ...source, source: changed }), sha1: source.sha1 }
}

const keyFor = (resource: string): Key =>
  keyOf({ namespace: 'simulation', pattern: 'lock', name: 'naive' }, resource)

const compareAndDelete: ScriptSource<'lock', 'owner'> = {
  name: 'test/compare-and-delete',
  keys: ['lock'],
  args: ['owner'],
  sha1: '',
  source: `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`,
}
const compareAndExpire: ScriptSource<'lock', 'owner' | 'ttl_ms'> = {
  name: 'test/compare-and-expire',
  keys: ['lock'],
  args: ['owner', 'ttl_ms'],
  sha1: '1',
  source: `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`,
}
const decode = Number
const free = defineScript(compareAndDelete, { repeat: 'unsafe', decode })
const keep = defineScript(compareAndExpire, { repeat: 'unsafe', decode })

async function setIfAbsent(port: RedisPort, key: Key, owner: string, ttlMs: number): Promise<boolean> {
  try {
    return (await port.call({ key, command: ['SET', key, owner, 'NX', 'PX', ttlMs] })) === 'OK'
  } catch {
    return false
  }
}

/**
 * Redlock as it is printed everywhere: SET NX PX on one node after the other, held as soon as a majority said so; whatever went
 * wrong at a node is not looked at, and nobody looks how long it took. Over one node it is the textbook's lock.
 */
export const printedRedlock = (nodes: number): LockBuild => ({
  nodes,
  scripts: [compiledTwin(compareAndDelete), compiledTwin(compareAndExpire)],
  checked: { fencing: false, exclusion: 'holders' },
  open: ({ ports, clocks, sleep }) => {
    const quorum = Math.floor(ports.length / 2) + 1
    const release = async (key: Key, owner: string) => {
      for (const port of ports) await free.run(port, { lock: key }, { owner }).catch(() => 0)
    }
    const held = (key: Key, owner: string, ttlMs: number): SimulatedHold => {
      let until = clocks.monotonicMs() + ttlMs
      return {
        remainingMs: () => Math.max(0, until - clocks.monotonicMs()),
        extend: async () => {
          for (const port of ports)
            await keep.run(port, { lock: key }, { owner, ttl_ms: ttlMs }).catch(() => 0)
          until = clocks.monotonicMs() + ttlMs
        },
        release: () => release(key, owner),
      }
    }
    return {
      acquire: async (resource, { ttlMs }) => {
        const key = keyFor(resource)
        const owner = randomBytes(16).toString('hex')
        for (let tries = 0; tries < 3; tries++) {
          let acquired = 0
          for (const port of ports) if (await setIfAbsent(port, key, owner, ttlMs)) acquired++
          if (acquired >= quorum) return held(key, owner, ttlMs)
          await release(key, owner)
          await sleep(100)
        }
        return undefined
      },
    }
  },
})

/** A build whose holders count their time from when they are told, and not from when they asked. */
export const countingFromTheAnswer = (build: LockBuild): LockBuild => ({
  ...build,
  open: (process) => {
    const lock = build.open(process)
    return {
      acquire: async (resource, options) => {
        const hold = await lock.acquire(resource, options)
        if (hold === undefined) return undefined
        let until = process.clocks.monotonicMs() + options.ttlMs
        return {
          token: hold.token,
          remainingMs: () => Math.max(0, until - process.clocks.monotonicMs()),
          extend: async () => {
            await hold.extend()
            until = process.clocks.monotonicMs() + options.ttlMs
          },
          release: () => hold.release(),
        }
      },
    }
  },
})
