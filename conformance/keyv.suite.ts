/** All that `@keyv/test-suite` asks of a store. */
import KeyvRedis, { createCluster } from '@keyv/redis'
import suite, { keyvIteratorTests } from '@keyv/test-suite'
import { Keyv, type KeyvStoreAdapter } from 'keyv'
import { KeyvStore } from 'slotwise/cache/keyv'
import * as vitest from 'vitest'
import { open, patient, roots, theirs, unique } from './subject.js'

const { afterAll, describe } = vitest

/** A new store for each, as the suite wants it; the connections are shared. */
async function stores(): Promise<{ make: () => KeyvStoreAdapter; close: () => Promise<unknown> }> {
  if (theirs) {
    const client = createCluster({ rootNodes: roots.map((socket) => ({ socket })) })
    await client.connect()
    return { make: () => new KeyvRedis(client), close: () => client.close() }
  }
  const port = await open()
  const name = unique()
  return { make: () => new KeyvStore(port, { name, ...patient }), close: () => port.close() }
}

const { make, close } = await stores()
afterAll(close)

describe('the suite of Keyv', () => suite(vitest, Keyv, make))
describe('the suite of Keyv for iterators', () => keyvIteratorTests(vitest, Keyv, make))
