/**
 * Rate limits for Fastify 5, and a store for @fastify/rate-limit 11.
 *
 * @module
 */
export { type FastifyReplyLike, type FastifyRequestLike, fastifyLimit } from './limit.js'
export {
  type FastifyRateLimitStore,
  type FastifyRateLimitStoreOptions,
  fastifyRateLimitStore,
} from './store.js'
