import { ConfigurationError } from '../errors.js'
import { checkEviction } from '../redis/eviction.js'
import { refuseUnsynced } from '../redis/fsync.js'
import type { RedisPort } from '../redis/port.js'
import type { Layout } from './layout.js'
import type { Settings } from './options.js'

/**
 * Whether servers keep what is accepted, as safe as is asked for.
 *
 * @throws ConfigurationError they do not
 */
export async function checkServers(
  port: RedisPort,
  { evictionCheck, safety, report }: Pick<Settings<never>, 'evictionCheck' | 'safety' | 'report'>,
): Promise<void> {
  await checkEviction(port, 'journals', { check: evictionCheck, report })
  if (safety.fsync) await refuseUnsynced(port, 'what it answers')
}

/**
 * Whether what waits lies where this process looks for it, which it does until a change of the number of partitions is done.
 *
 * @throws ConfigurationError it does not
 */
export function checkNumber(
  layout: Layout,
  { name, partitions }: Pick<Settings<never>, 'name' | 'partitions'>,
): void {
  if (layout.partitions === partitions) return
  checkSettled(layout, name)
  throw new ConfigurationError(`${name} has ${layout.partitions} partitions, and not ${partitions}`)
}

/**
 * Whether anything is accepted at the moment.
 *
 * @throws ConfigurationError the number of partitions is being changed
 */
export function checkSettled({ partitions, moving }: Layout, name: string): void {
  if (moving === undefined) return
  throw new ConfigurationError(
    `the partitions of ${name} are being changed from ${partitions} to ${moving}: until then nothing is accepted`,
  )
}
