import { type Job, Queue, Worker } from 'bullmq'
import { Cluster } from 'ioredis'
import type { Row } from '../rows.js'

/** A queue of changes, and what carries them to a database, so many in one statement. */
export interface Changes {
  add(row: Row): Promise<unknown>
  /** Until nothing waits any more. */
  flush(write: (rows: readonly Row[]) => Promise<void>, batchSize: number): Promise<number>
  close(): Promise<void>
}

const TOKEN = 'bench'

/** One queue lies in one slot; jobs that are done are not kept. Batches are the worker's own, which fetches by hand. */
export async function bullmq(
  nodes: readonly { host: string; port: number }[],
  name: string,
): Promise<Changes> {
  const connect = () => new Cluster([...nodes], { redisOptions: { maxRetriesPerRequest: null } })
  const connections = [connect(), connect()]
  const [producing, consuming] = connections as [Cluster, Cluster]
  const prefix = `{${name}}`
  const queue = new Queue<Row>('changes', { connection: producing, prefix })
  const jobs = { removeOnComplete: true, removeOnFail: true }
  await queue.waitUntilReady()
  return {
    add: (row) => queue.add('change', row, jobs),
    async flush(write, batchSize) {
      const worker = new Worker<Row>('changes', null, { connection: consuming, prefix })
      await worker.waitUntilReady()
      let flushed = 0
      for (;;) {
        const batch = []
        while (batch.length < batchSize) {
          const job = (await worker.getNextJob(TOKEN, { block: false })) as Job<Row> | undefined
          if (job === undefined) break
          batch.push(job)
        }
        if (batch.length === 0) break
        await write([...new Map(batch.map(({ data }) => [data.id, data])).values()])
        await Promise.all(batch.map((job) => job.moveToCompleted(undefined, TOKEN, false)))
        flushed += batch.length
      }
      await worker.close()
      return flushed
    },
    async close() {
      await queue.close()
      for (const connection of connections) connection.disconnect()
    },
  }
}
