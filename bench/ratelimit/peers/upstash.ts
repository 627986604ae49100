import { createHash } from 'node:crypto'
import { Ratelimit } from '@upstash/ratelimit'
import type { Cluster } from 'ioredis'
import { type Limit, type Open, only } from '../subject.js'
import { openCluster } from './cluster.js'

type Client = ConstructorParameters<typeof Ratelimit>[0]['redis']
type Evaluation = (script: string, keys: readonly string[], args: readonly unknown[]) => Promise<unknown>

const sha1Of = (text: string): string => createHash('sha1').update(text).digest('hex')

/** It is made for a service over HTTP: this sends the same scripts to a cluster, changed or as they are. */
function clientOf(cluster: Cluster, change: (script: string) => string): Client {
  const changed = new Map<string, string>()
  const evaluate: Evaluation = (script, keys, args) => {
    changed.set(sha1Of(script), sha1Of(change(script)))
    return cluster.eval(change(script), keys.length, ...keys, ...args.map(String))
  }
  const evalsha: Evaluation = async (sha1, keys, args) =>
    await cluster.evalsha(changed.get(sha1) ?? sha1, keys.length, ...keys, ...args.map(String))
  // It takes as much of the service's client as it needs, and of that these two with one limit for everybody.
  return { eval: evaluate, evalsha } as unknown as Client
}

/** The first line of its scripts is a flag of that service, which Redis refuses. */
const withoutFlags = (script: string): string => script.replace(/^#!lua .*/, '')
/** Its windows are keys of their own: the id as their tag keeps them in one slot. */
const tagged = (id: string): string => ['{', id, '}'].join('')

interface Settings {
  readonly algorithm: (limit: Limit) => ReturnType<typeof Ratelimit.slidingWindow>
  readonly change?: (script: string) => string
  readonly identifier?: (id: string) => string
  readonly autopipelining?: boolean
}

const openWith =
  ({ algorithm, change = withoutFlags, identifier = tagged, autopipelining = false }: Settings): Open =>
  async (place, limits) => {
    const limit = only(limits)
    const cluster = await openCluster(place, { autopipelining })
    const { prefix } = place
    const ratelimit = new Ratelimit({
      redis: clientOf(cluster, change),
      limiter: algorithm(limit),
      prefix,
      // Its memory of refusals would answer in the place of what is looked at.
      ephemeralCache: false,
    })
    return {
      hasCosts: true,
      take: async (id, rate = 1) => {
        const { success, reason } = await ratelimit.limit(identifier(id), { rate })
        if (reason === 'timeout') throw new Error('it allowed because there was no answer in time')
        return success
      },
      close: async () => cluster.disconnect(),
    }
  }

const slidingWindow = ({ limit, windowMs }: Limit) => Ratelimit.slidingWindow(limit, `${windowMs} ms`)
const tokenBucket = ({ limit, windowMs }: Limit) =>
  // It fills in steps: these are as small as they can be.
  Ratelimit.tokenBucket(1, `${Math.max(1, Math.round(windowMs / limit))} ms`, limit)

export const openSliding = openWith({ algorithm: slidingWindow })
export const openPipelining = openWith({ algorithm: slidingWindow, autopipelining: true })
export const openBucket = openWith({ algorithm: tokenBucket })

const asItIs = (text: string): string => text
/** As it is published, to see what becomes of it. */
export const openPublished = openWith({ algorithm: slidingWindow, change: asItIs, identifier: asItIs })
/** With its keys in one slot. */
export const openTagged = openWith({ algorithm: slidingWindow, change: asItIs })
