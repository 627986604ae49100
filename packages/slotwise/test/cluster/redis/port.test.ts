import { connect as connectIoredis } from '../../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import { conformance } from './conformance.js'
import { ownConnections } from './own-connections.js'
import { replies } from './replies.js'
import { routing } from './routing.js'
import { subscribing } from './subscribing.js'

// One after the other: two nodes that MIGRATE to each other at the same moment wait for each other.
conformance('ioredis', connectIoredis)
conformance('node-redis', connectNodeRedis)
replies('ioredis', connectIoredis)
ownConnections('ioredis', connectIoredis)
ownConnections('node-redis', connectNodeRedis)
routing('ioredis', connectIoredis)
routing('node-redis', connectNodeRedis)
subscribing('ioredis', connectIoredis)
subscribing('node-redis', connectNodeRedis)
replies('node-redis', connectNodeRedis)
