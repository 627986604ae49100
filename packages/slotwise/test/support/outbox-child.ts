import pg from 'pg'
import { outbox } from '../../src/invalidation/index.js'
import { connect } from '../../src/ioredis/index.js'

// A process that consumes an outbox until it is killed, and notes in the database what it was handed, in the order of it.
const [url = '', nodes = '', mode = ''] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: url })
pool.on('error', () => {})
const port = await connect({ nodes: nodes.split(','), namespace: 'faults' })
const consumer = outbox(
  {
    pool,
    pollMs: 50,
    takeoverMs: 500,
    batchSize: 20,
    handler: async (events) => {
      const handed = events.map(({ entry, payload }) => ({ entry: entry?.join(), payload }))
      await pool.query(
        `insert into handed (process, item, version)
         select $1, (value->>'entry')::int, (value->'payload'->>'version')::int
           from json_array_elements($2::json) with ordinality as t(value, n) order by n`,
        [process.pid, JSON.stringify(handed)],
      )
      if (mode === 'die-before-confirming') process.kill(process.pid, 'SIGKILL')
    },
  },
  port,
)
const told = setInterval(() => process.send?.({ isConsumer: consumer.isConsumer }), 20)
process.once('disconnect', () => {
  clearInterval(told)
  process.exit()
})
