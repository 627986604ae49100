import { connect } from '../../../src/node-redis/index.js'
import { connecting } from './connecting.js'

connecting('node-redis', connect)
