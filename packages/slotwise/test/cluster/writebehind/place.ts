import { randomUUID } from 'node:crypto'
import type { RedisPort } from '../../../src/redis/index.js'
import { writeBehindSql } from '../../../src/writebehind/index.js'
import { anyPort } from '../../support/any-port.js'
import { type TestDatabase, testDatabase } from '../../support/postgres.js'

/** Where a file's tests write: a namespace of its own, and a database that keeps positions. */
export interface Place {
  readonly port: RedisPort
  readonly database: TestDatabase
}

export async function openPlace(): Promise<Place> {
  const port = await anyPort({ namespace: `wb-${randomUUID().slice(0, 8)}` })
  const database = await testDatabase()
  await database.pool.query(writeBehindSql())
  return { port, database }
}

export async function closePlace({ port, database }: Place): Promise<void> {
  await database[Symbol.asyncDispose]()
  await port.close()
}
