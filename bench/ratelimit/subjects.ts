import { open as express } from './peers/express.js'
import { open as fastify, openPipelining as fastifyPipelining } from './peers/fastify.js'
import { open as flexible, openBursty, openPipelining } from './peers/flexible.js'
import {
  openBucket as upstashBucket,
  openPipelining as upstashPipelining,
  openSliding as upstashSliding,
} from './peers/upstash.js'
import { openBucket, openEstimate, openStrict } from './slotwise.js'
import type { Open } from './subject.js'

/**
 * Whom to look at, each with one limit. None of rate-limit-redis with autopipelining: it sends by `call`, of which ioredis takes the
 * command's name for the key, and so chooses the wrong node.
 */
export const SUBJECTS = {
  'rate-limiter-flexible 11.4.0': flexible,
  'rate-limiter-flexible 11.4.0, autopipelining': openPipelining,
  'rate-limiter-flexible 11.4.0, Bursty': openBursty,
  'express-rate-limit 8.7.5, rate-limit-redis 6.0.1': express,
  '@fastify/rate-limit 11.2.0': fastify,
  '@fastify/rate-limit 11.2.0, autopipelining': fastifyPipelining,
  '@upstash/ratelimit 2.2.0, sliding window': upstashSliding,
  '@upstash/ratelimit 2.2.0, sliding window, autopipelining': upstashPipelining,
  '@upstash/ratelimit 2.2.0, token bucket': upstashBucket,
  'slotwise, token bucket': openBucket,
  'slotwise, estimate': openEstimate,
  'slotwise, strict window': openStrict,
} as const satisfies Record<string, Open>

/** Those that take several limits at once, each with three. */
export const UNIONS = {
  'rate-limiter-flexible 11.4.0, Union of three': flexible,
  'the same, autopipelining': openPipelining,
  'slotwise, three tiers': openBucket,
} as const satisfies Record<string, Open>

/** What promises are about. */
export const SINGLE: keyof typeof SUBJECTS = 'rate-limiter-flexible 11.4.0'
export const UNION: keyof typeof UNIONS = 'rate-limiter-flexible 11.4.0, Union of three'
export const THREE: keyof typeof UNIONS = 'slotwise, three tiers'

export const isOurs = (name: string): boolean => name.startsWith('slotwise')
