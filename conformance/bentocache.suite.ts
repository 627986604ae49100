/** All that `bentocache/test_suite` asks of a second level. */
import { test } from '@japa/runner'
import { redisDriver } from 'bentocache/drivers/redis'
import { registerCacheDriverTestSuite } from 'bentocache/test_suite'
import type { CacheDriver } from 'bentocache/types'
import { Cluster } from 'ioredis'
import { bentocacheDriver } from 'slotwise/cache/bentocache'
import { open, patient, roots, theirs, unique } from './subject.js'

const own = unique()

type Make = (options?: { readonly prefix?: string }) => CacheDriver

async function drivers(): Promise<Make> {
  if (theirs) {
    const { options, factory } = redisDriver({ connection: new Cluster(roots), prefix: own })
    // A connection for each, for each closes its own.
    return (more) => factory({ ...options, connection: new Cluster(roots), ...more })
  }
  const { factory } = bentocacheDriver(await open(), { name: own, ...patient })
  return (more) => factory({ prefix: 'own', ...more })
}

const createDriver = await drivers()

test.group('the suite of BentoCache', (group) => {
  registerCacheDriverTestSuite({ test, group, createDriver })
})
