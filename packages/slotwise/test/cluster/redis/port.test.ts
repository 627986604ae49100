import { connect as connectIoredis } from '../../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import { conformance } from './conformance.js'
import { replies } from './replies.js'

// One after the other: two nodes that MIGRATE to each other at the same moment wait for each other.
conformance('ioredis', connectIoredis)
conformance('node-redis', connectNodeRedis)
replies('ioredis', connectIoredis)
replies('node-redis', connectNodeRedis)
