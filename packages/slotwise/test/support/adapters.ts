import { connect as connectIoredis } from '../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../src/node-redis/index.js'

/** Every adapter makes the same promises. */
export const ADAPTERS = [
  ['ioredis', connectIoredis],
  ['node-redis', connectNodeRedis],
] as const
