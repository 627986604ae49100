import { randomBytes } from 'node:crypto'
import * as scripts from '../../../src/lock/scripts.js'
import { defineScript, keyOf, type RedisPort, type ScriptSource } from '../../../src/redis/index.js'
import { compiledTwin } from '../compiled-twin.js'
import { type LockBuild, MAX_TTL_MS, type SimulatedHold } from './simulation.js'

/** What keeps a lock over a majority of nodes safe, each of which can be left out. */
export interface Defences {
  /** The majority is told the largest of its tokens. */
  readonly ratchet: boolean
  /** Tokens are not below the time. */
  readonly floor: boolean
  /** Nobody holds a lock whose time went by while it was asked for. */
  readonly validity: boolean
  /** A node that may have forgotten gives none for a while. */
  readonly quarantine: boolean
}

const ratchetSource: ScriptSource<'lock' | 'marker', 'owner' | 'token'> = {
  name: 'test/ratchet',
  keys: ['lock', 'marker'],
  args: ['owner', 'token'],
  sha1: '2',
  source: `
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local saved = redis.call('HMGET', KEYS[1], 'o', 'e', 'f')
    if saved[1] ~= ARGV[1] or tonumber(saved[2]) <= now then return 0 end
    if tonumber(saved[3]) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'f', ARGV[2]) end
    local largest = tonumber(redis.call('HGET', KEYS[2], 'h')) or 0
    if largest < tonumber(ARGV[2]) then redis.call('HSET', KEYS[2], 'h', ARGV[2]) end
    return 1`,
}
const ratchet = defineScript(ratchetSource, { repeat: 'safe', decode: Number })

/**
 * A lock over a majority of nodes, as short as it can be said: the servers' side is that of the package, and the rest is what the
 * simulation itself is tried with.
 */
export const quorumLock = (nodes: number, { floor, quarantine, ...defences }: Defences): LockBuild => ({
  nodes,
  scripts: [compiledTwin(ratchetSource)],
  checked: { exclusion: 'holders' },
  open: ({ ports, clocks, sleep }) => {
    const quorum = Math.floor(nodes / 2) + 1
    const space = { namespace: 'simulation', pattern: 'lock' }
    const fulfilled = async <T>(ask: (port: RedisPort) => Promise<T>): Promise<readonly T[]> => {
      const answers = await Promise.allSettled(ports.map(ask))
      return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
    }

    const once = async (resource: string, ttlMs: number): Promise<SimulatedHold | undefined> => {
      const keys = {
        lock: keyOf({ ...space, name: 'held' }, resource),
        marker: keyOf({ ...space, name: 'mark' }, resource),
      }
      const owner = randomBytes(16).toString('base64url')
      const options = { deadlineMs: defences.validity ? Math.ceil(ttlMs / 5) : 4 * MAX_TTL_MS }
      const started = clocks.monotonicMs()
      const usable = ttlMs - ttlMs / 100 - 2
      const endOf = (sentAt: number) => (defences.validity ? sentAt : clocks.monotonicMs()) + usable
      const release = () => fulfilled((port) => scripts.release.run(port, keys, { owner }, options))

      const args = {
        owner,
        ttl_ms: ttlMs,
        longest_ms: quarantine ? MAX_TTL_MS : 0,
        least: floor ? Math.round(clocks.wallMs() * 1000) : 1,
        wait_ms: 0,
        label: '',
      }
      const answers = await fulfilled((port) => scripts.acquire.run(port, keys, args, options))
      const tokens = answers.flatMap((answer) => (answer.kind === 'held' ? [answer.token] : []))
      const token = tokens.reduce((largest, one) => (one > largest ? one : largest), 0n)
      let votes = tokens.length
      if (defences.ratchet && votes >= quorum && tokens.filter((one) => one === token).length < quorum) {
        const raised = await fulfilled((port) => ratchet.run(port, keys, { owner, token }, options))
        votes = raised.filter((one) => one === 1).length
      }
      let until = endOf(started)
      const remainingMs = () => Math.max(0, until - clocks.monotonicMs())
      if (votes < quorum || (defences.validity && remainingMs() === 0)) {
        await release()
        return undefined
      }
      const extend = async () => {
        const sentAt = clocks.monotonicMs()
        const verdicts = await fulfilled((port) =>
          scripts.extend.run(port, keys, { owner, ttl_ms: ttlMs }, options),
        )
        if (verdicts.filter((one) => one === 'done').length < quorum || remainingMs() === 0)
          throw new Error('no more')
        until = endOf(sentAt)
      }
      return { token, remainingMs, extend, release }
    }

    return {
      acquire: async (resource, { ttlMs, waitMs }) => {
        const until = clocks.monotonicMs() + waitMs
        for (;;) {
          const hold = await once(resource, ttlMs)
          if (hold !== undefined || clocks.monotonicMs() >= until) return hold
          await sleep(20 + Math.random() * 80)
        }
      },
    }
  },
})
