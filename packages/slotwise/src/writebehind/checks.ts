import { ConfigurationError } from '../errors.js'
import { type KeySpace, keyOf } from '../keys.js'
import { refuseEviction } from '../redis/eviction.js'
import { refuseUnsynced } from '../redis/fsync.js'
import type { RedisPort } from '../redis/port.js'
import type { Settings } from './options.js'

/**
 * Whether servers keep what is accepted, as safe as is asked for, and where others of the same name look for it.
 *
 * @throws ConfigurationError they do not
 */
export async function checkServers(
  port: RedisPort,
  space: KeySpace,
  {
    partitions,
    name,
    evictionCheck,
    safety,
    report,
  }: Pick<Settings<never>, 'partitions' | 'name' | 'evictionCheck' | 'safety' | 'report'>,
): Promise<void> {
  if (evictionCheck !== 'off') {
    const looked = refuseEviction(port, 'journals')
    await (evictionCheck === 'warn' ? looked.catch(report) : looked)
  }
  if (safety.fsync) await refuseUnsynced(port, 'what it answers')
  const key = keyOf(space, ['settings'])
  const ask = () => port.call({ key, command: ['HGET', key, 'partitions'], repeat: 'safe' })
  let stored = await ask()
  // Nothing is written where it is there: a server whose memory is full would refuse that.
  if (stored === null) {
    await port.call({ key, command: ['HSETNX', key, 'partitions', String(partitions)], repeat: 'safe' })
    stored = await ask()
  }
  if (String(stored) === String(partitions)) return
  throw new ConfigurationError(`${name} has ${String(stored)} partitions, and not ${partitions}`)
}
