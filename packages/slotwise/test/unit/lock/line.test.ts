import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { CLOCKS } from '../../../src/lock/deadline.js'
import { Line } from '../../../src/lock/line.js'
import { keyOf, type RedisPort } from '../../../src/redis/index.js'

const key = keyOf({ namespace: '', pattern: 'lock', name: 'line' }, 'a')
const ownerOf = (name: string) => name.padEnd(22, '-')

/** A line whose channel says what the test says. */
function heard() {
  let handlers: Parameters<RedisPort['subscribe']>[1] | undefined
  const port = {
    subscribe: async (_key: unknown, given: Parameters<RedisPort['subscribe']>[1]) => {
      handlers = given
      return { close: async () => {} }
    },
  } as unknown as RedisPort
  return {
    line: new Line(port, CLOCKS),
    resumed: () => handlers?.resumed?.(),
    say: (...owners: readonly string[]) => handlers?.message(Buffer.from(owners.map(ownerOf).join(''))),
  }
}

const waiting = (name: string) => ({
  key,
  owner: ownerOf(name),
  askedAt: CLOCKS.monotonicMs(),
  // The net that catches whom no message reached is far away.
  remainingMs: 60_000,
  place: 2,
  leftMs: 120_000,
  signal: undefined,
})

const settled = async (turn: Promise<void>) =>
  await Promise.race([turn.then(() => true), sleep(50).then(() => false)])

describe.each([
  ['whose turn it is', ['me', 'other']],
  ['who comes next', ['other', 'me']],
])('of those in the line the one %s', (_, owners) => {
  it('is told though it was asking when it was called, and its answer is of before', async () => {
    const { line, resumed, say } = heard()
    const first = line.turn(waiting('me'))
    resumed()
    await first
    const again = waiting('me')
    say(...owners)
    expect(await settled(line.turn(again))).toBe(true)
    await line.close()
  })
})

it('nobody is told who was not called', async () => {
  const { line, resumed, say } = heard()
  const first = line.turn(waiting('me'))
  resumed()
  await first
  const again = waiting('me')
  say('one', 'other')
  const turn = line.turn(again)
  expect(await settled(turn)).toBe(false)
  await line.close()
  await turn
})
