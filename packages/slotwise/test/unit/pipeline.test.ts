import type { Key } from 'slotwise/redis'
import { expect, test } from 'vitest'
import { pipelined } from '../../src/redis/pipeline.js'
import type { CommandCall, Reply, ScriptCall } from '../../src/redis/port.js'
import { slotOf } from '../../src/slots.js'

const get = (id: string): CommandCall => ({ key: id as Key, command: ['GET', id] })

/** A node for even slots and one for odd ones; every answer is the key, in the reverse of the order of sending. */
function scene() {
  const log: string[] = []
  const answers: (() => void)[] = []
  const run = (calls: readonly (CommandCall | ScriptCall)[]) =>
    pipelined(calls, undefined, {
      ownerOf: (slot) => (slot % 2 === 0 ? 'even' : 'odd'),
      launch: ({ command, slot = 0 }, resolve: (reply: Reply) => void, reject) => {
        log.push(slot % 2 === 0 ? 'even' : 'odd')
        const id = String(command[1])
        answers.push(() => (id.startsWith('bad') ? reject(new Error(id)) : resolve(id)))
      },
      flush: (address) => log.push(`flush ${address}`),
    })
  const answer = () => {
    for (const one of answers.splice(0).toReversed()) one()
  }
  return { log, run, answer }
}

test('results keep the order of the calls, whatever the order of the answers, and an error stays with its own', async () => {
  const { run, answer } = scene()
  const ids = Array.from({ length: 40 }, (_, n) => (n % 7 === 3 ? `bad-${n}` : `id-${n}`))
  const twoSlots: ScriptCall = {
    script: { name: 's', source: '', sha1: '' } as never,
    keys: ['a', 'b'] as unknown as [Key, Key],
    args: [],
  }
  const all = run([...ids.map(get), twoSlots])
  answer()
  const results = await all
  expect(results).toHaveLength(41)
  for (const [n, id] of ids.entries()) {
    const result = results[n]
    if (id.startsWith('bad')) expect(result).toMatchObject({ status: 'rejected', reason: { message: id } })
    else expect(result).toEqual({ status: 'fulfilled', value: id })
  }
  expect(results[40]).toMatchObject({ status: 'rejected', reason: { code: 'CROSS_SLOT' } })
})

test('the calls to one node are sent together, so that it works while those to the next are made', () => {
  const { run, log } = scene()
  const ids = Array.from({ length: 60 }, (_, n) => `id-${n}`)
  void run(ids.map(get))
  const [first = ''] = log
  const other = first === 'even' ? 'odd' : 'even'
  const count = (node: string) =>
    ids.filter((id) => slotOf(id) % 2 === (node === 'even' ? 0 : 1)).map(() => node)
  expect(log).toEqual([...count(first), `flush ${first}`, ...count(other), `flush ${other}`])
})

test('a few calls join whatever else leaves in this turn', () => {
  const { run, log } = scene()
  void run(['a', 'b', 'c', 'd'].map(get))
  expect(log).toHaveLength(4)
})

test('no calls are answered at once', async () => {
  await expect(scene().run([])).resolves.toEqual([])
})
