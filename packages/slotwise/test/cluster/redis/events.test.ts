import { connect as connectIoredis } from '../../../src/ioredis/index.js'
import { connect as connectNodeRedis } from '../../../src/node-redis/index.js'
import { events } from './events.js'

// One after the other: what is told is told to the whole process.
events('ioredis', connectIoredis)
events('node-redis', connectNodeRedis)
