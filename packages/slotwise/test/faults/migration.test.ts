import { afterEach, beforeEach, expect, it } from 'vitest'
import { moveSlots } from '../../src/cluster/index.js'
import { connect } from '../../src/ioredis/index.js'
import { type LocalCluster, startLocalCluster } from '../../src/local/index.js'
import { type Key, type RedisPort, SLOTS, slotOf } from '../../src/redis/index.js'
import { rounds } from '../support/budget.js'
import { Load } from '../support/load.js'

const SLOT = slotOf('{moving}')
const KEYS = 2000

let cluster: LocalCluster
let port: RedisPort

beforeEach(async () => {
  cluster = await startLocalCluster({ nodeTimeoutMs: 1000 })
  port = await connect({ ...cluster.connectOptions, commandTimeoutMs: 6000 })
}, 60_000)
afterEach(async () => {
  await port.close()
  await cluster.stop()
})

/** A slot full of keys that its replica has too, the node that owns it, and another primary with its replica. */
async function scene() {
  const keys = Array.from({ length: KEYS }, (_, i) => `{moving}${i}` as Key)
  await port.pipeline(keys.map((key) => ({ key, command: ['SET', key, `value of ${key}`] as const })))
  const source = port.topology().ownerOf(SLOT)
  const target = port.topology().nodes.find(({ id, role }) => role === 'primary' && id !== source?.id)
  expect.assert(source !== undefined && target !== undefined)
  const [first = '' as Key] = keys
  await port.writeThenWait({ key: first, command: ['SET', first, `value of ${first}`] }, { replicas: 1 })
  const at = (id: string) => cluster.nodes.findIndex((node) => node.id === id)
  return { keys, source: at(source.id), target: at(target.id), to: target.id, from: source.id }
}

const missing = async (keys: readonly Key[]) => {
  const found = await port.pipeline(
    keys.map((key) => ({ key, command: ['GET', key] as const, repeat: 'safe' })),
  )
  return keys.filter((key, i) => {
    const result = found[i]
    return !(result?.status === 'fulfilled' && result.value === `value of ${key}`)
  })
}

/** Marks of slots that stand open, of all nodes. */
async function open(): Promise<string[]> {
  const nodes = await Promise.all(
    port.topology().nodes.map(async ({ id }) => String(await port.onNode(id, ['CLUSTER', 'NODES']))),
  )
  return nodes.flatMap((text) => text.match(/\[.*?\]/g) ?? [])
}

/** Begins the move, kills a node when part of the keys has gone, waits for its replica and starts it again. */
async function killedMidway(
  victim: number,
  to: string,
): Promise<{ readonly sent: number; readonly renewed: number }> {
  const { id } = cluster.nodes[victim] ?? { id: '' }
  // A slot of its own, which is its replica's when that was elected.
  const witness = Array.from({ length: SLOTS }, (_, slot) => slot).findLast(
    (slot) => slot !== SLOT && port.topology().ownerOf(slot)?.id === id,
  )
  expect.assert(witness !== undefined)
  let killing: Promise<void> | undefined
  let sent = 0
  let renewed = 0
  const moving = moveSlots({
    nodes: cluster.connectOptions.nodes,
    to,
    slots: [[SLOT, SLOT]],
    onProgress: ({ keysMoved }) => {
      sent = keysMoved
      if (keysMoved >= KEYS / 4) killing ??= cluster.kill(victim)
    },
    afterLosslessMove: () => void renewed++,
  })
  await expect(moving).rejects.toThrow(/closed the connection|IOERR|cannot send keys|ECONNRESET/)
  await killing
  expect(sent).toBeLessThan(KEYS)
  const isReplaced = () => port.topology().ownerOf(witness)?.id !== id
  await expect.poll(isReplaced, { timeout: 20_000 }).toBe(true)
  await cluster.restart(victim)
  return { sent, renewed }
}

it('a source that dies half way is replaced, and the next run finds every key of its slot', async () => {
  const { keys, source, to } = await scene()
  const { renewed } = await killedMidway(source, to)
  expect(renewed).toBe(0)
  // What its replacement does not have any more is at the target, and nobody is sent there.
  expect((await missing(keys)).length).toBeGreaterThan(0)
  const rest = await moveSlots({ nodes: cluster.connectOptions.nodes, to, slots: [[SLOT, SLOT]] })
  expect(rest.slotsMoved).toBe(1)
  expect(await missing(keys)).toEqual([])
  expect(await open()).toEqual([])
  expect(port.topology().ownerOf(SLOT)?.id).toBe(to)
})

it('a target that dies half way is replaced, and the next run moves the rest to its replacement', async () => {
  const { keys, target, to } = await scene()
  const { sent, renewed } = await killedMidway(target, to)
  expect(renewed).toBe(0)
  // The mark of the source names a replica now: any operation finishes the slot first, with whoever replaced it.
  const [seed = ''] = cluster.connectOptions.nodes
  const done = await moveSlots({ nodes: [seed], to: port.topology().ownerOf(SLOT)?.id ?? '', slots: [] })
  expect(done.slotsMoved).toBe(1)
  expect(await open()).toEqual([])
  await expect.poll(() => port.topology().ownerOf(SLOT)?.role).toBe('primary')
  // What a primary has not replicated dies with it: of the keys that it had taken, the last ones at most.
  const lost = await missing(keys)
  console.log(`${lost.length} of ${sent} keys that the target had taken died with it`)
  expect(lost.length).toBeLessThanOrEqual(200)
})

it('of two operators at once one moves slots and the other is told so, and nothing is lost', async () => {
  const load = new Load(port, 'operators')
  await expect.poll(() => load.acknowledged.size, { timeout: 10_000 }).toBe(2000)
  const [giver, one, two] = port.topology().nodes.filter(({ role }) => role === 'primary')
  expect.assert(giver !== undefined && one !== undefined && two !== undefined)
  const { nodes } = cluster.connectOptions
  const outcomes = await Promise.allSettled(
    [one, two, one, two].map(({ id }) => moveSlots({ nodes, from: [giver.id], to: id, slots: 2000 })),
  )
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
  expect(refused.map(({ reason }) => String(reason))).toEqual(
    Array(3).fill(expect.stringContaining('somebody else is moving slots')),
  )
  // When the first is done, another may, at once.
  expect(await moveSlots({ nodes, from: [giver.id], to: two.id, slots: 100 })).toMatchObject({
    slotsMoved: 100,
  })
  await load.stop()
  expect(load.failures).toEqual([])
  expect(await load.wrong()).toEqual([])
  expect(await open()).toEqual([])
})

it('slots that are moved on as soon as they have come are always owned by somebody', async () => {
  const ids = port
    .topology()
    .nodes.filter(({ role }) => role === 'primary')
    .map(({ id }) => id)
  const { nodes } = cluster.connectOptions
  const count = rounds(60, 1000)
  let moved = 0
  for (let i = 0; i < count; i++) {
    const to = ids[i % 3] ?? ''
    const { slotsMoved } = await moveSlots({ nodes, to, slots: [[100, 115]], timeoutMs: 10_000 })
    moved += slotsMoved
  }
  // But for the first, if it went to whoever had them.
  expect(moved).toBeGreaterThanOrEqual((count - 1) * 16)
  await cluster.whenHealthy()
})
