import { ConfigurationError } from '../errors.js'
import { refuseEviction } from '../redis/eviction.js'
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
  if (evictionCheck !== 'off') {
    const looked = refuseEviction(port, 'journals')
    await (evictionCheck === 'warn' ? looked.catch(report) : looked)
  }
  if (safety.fsync) await refuseUnsynced(port, 'what it answers')
}

/**
 * Whether what is accepted lies where others of the same name look for it.
 *
 * @throws ConfigurationError it does not, or is being moved
 */
export function checkLayout(
  layout: Layout,
  { name, partitions }: Pick<Settings<never>, 'name' | 'partitions'>,
): void {
  if (layout.moving !== undefined) {
    const change = `from ${layout.partitions} to ${layout.moving}`
    throw new ConfigurationError(
      `the partitions of ${name} are being changed ${change}: until then nothing is accepted`,
    )
  }
  if (layout.partitions !== partitions) {
    throw new ConfigurationError(`${name} has ${layout.partitions} partitions, and not ${partitions}`)
  }
}
