import pg from 'pg'
import { connect } from '../../src/ioredis/index.js'
import { openWriteBehind, type WriteBehindTask } from './write-behind-task.js'

// A process that flushes until it is killed, or whoever started it is gone.
const task = JSON.parse(process.argv[2] ?? '{}') as WriteBehindTask
const pool = new pg.Pool({ connectionString: task.url })
pool.on('error', () => {})
const port = await connect({ nodes: task.nodes, namespace: 'faults', commandTimeoutMs: 500 })
openWriteBehind(port, pool).start()
process.send?.('flushes')
process.once('disconnect', () => process.exit())
