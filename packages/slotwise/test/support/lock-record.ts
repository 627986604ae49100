import type { Key } from '../../src/keys.js'
import type { RedisPort } from '../../src/redis/index.js'

/** The record of a lock, as acquire.lua describes it. */
export interface LockRecord {
  readonly owner: string
  readonly token: bigint
  /** Who waits: 35 characters each. */
  readonly line: string
}

const OF_ONE = 35

async function textOf(port: RedisPort, key: Key): Promise<string> {
  return String((await port.call({ key, command: ['GET', key] })) ?? '')
}

/** What precedes the line. */
const headOf = (text: string): number => 57 + Number(text.slice(53, 57))

export async function lockRecord(port: RedisPort, key: Key): Promise<LockRecord> {
  const text = await textOf(port, key)
  if (text === '') return { owner: '', token: 0n, line: '' }
  return { owner: text.slice(0, 22), token: BigInt(text.slice(35, 51)), line: text.slice(headOf(text)) }
}

/** How many wait. */
export const waitingFor = async (port: RedisPort, key: Key): Promise<number> =>
  (await lockRecord(port, key)).line.length / OF_ONE

/** Puts others into the line, each with the time from which they wait no more. */
export async function letWait(
  port: RedisPort,
  key: Key,
  others: Readonly<Record<string, number>>,
): Promise<void> {
  const text = await textOf(port, key)
  const line = Object.entries(others).map(
    ([name, until]) => name.padEnd(22, '-') + String(until).padStart(13, '0'),
  )
  // Whoever waits may keep the record for longer than the lock lasts.
  const head = `${text.slice(0, 52)}${text[52] === '0' ? '1' : text[52]}${text.slice(53, headOf(text))}`
  await port.call({ key, command: ['SET', key, head + line.join(''), 'KEEPTTL'] })
}
