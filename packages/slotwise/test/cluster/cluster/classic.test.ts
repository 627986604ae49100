import { afterEach, beforeEach, expect, it } from 'vitest'
import { type MoveSlotsOptions, moveSlots } from '../../../src/cluster/index.js'
import { slotsOf } from '../../../src/cluster/view.js'
import { KeyTooLargeError, ReplyError, UnhealthyClusterError } from '../../../src/errors.js'
import { slotOf } from '../../../src/slots.js'
import { ScriptedCluster, type ScriptedNode } from '../../support/scripted-cluster.js'

// What a real server does only by chance, or by hours of work, a scripted one does when it is told.
let cluster: ScriptedCluster
let source: ScriptedNode
let target: ScriptedNode
let request: MoveSlotsOptions
let renewed: number[]

beforeEach(async () => {
  cluster = await ScriptedCluster.start('none', 'none', 'none')
  ;[source, target] = [cluster.node(0), cluster.node(2)]
  renewed = []
  const [node = '', , to = ''] = cluster.addresses
  request = { nodes: [node], to, slots: [[0, 9]], afterLosslessMove: (slots) => void renewed.push(...slots) }
})
afterEach(() => cluster[Symbol.asyncDispose]())

const open = () => cluster.nodes.flatMap((node) => [...node.migrating.keys(), ...node.importing.keys()])

/** So many keys in one slot, at whoever owns it. */
function fill(slot: number, count: number): string[] {
  let tag = 0
  while (slotOf(`{${tag}}`) !== slot) tag++
  const keys = Array.from({ length: count }, (_, i) => `{${tag}}${i}`)
  for (const key of keys) cluster.nodes.find(({ owned }) => owned.has(slot))?.keys.add(key)
  return keys
}

/** Loses a slot of the target, once, when the source lets go of it; what the third node is told gives it to nobody. */
function loseOnce(slot: number, seen: (line: string) => void = () => {}): void {
  let isLost = false
  cluster.node(1).instead = (line) => (/SETSLOT \d+ NODE/.test(line) ? { ok: 'OK' } : undefined)
  source.instead = (line) => {
    seen(line)
    if (isLost || !line.startsWith(`CLUSTER SETSLOT ${slot} NODE`)) return undefined
    isLost = true
    target.owned.delete(slot)
    source.migrating.delete(slot)
    return { ok: 'OK' }
  }
}

it('keys that could not be sent are not counted, and are sent again', async () => {
  const keys = fill(5, 50)
  let failures = 3
  source.instead = (line) =>
    line.startsWith('MIGRATE') && failures-- > 0
      ? new Error('IOERR error or timeout reading to target instance')
      : undefined
  expect(await moveSlots(request)).toMatchObject({ keysMoved: 50 })
  expect(target.keys).toEqual(new Set(keys))
})

it('a target that cannot be reached is an error, and the next run goes on', async () => {
  const keys = fill(5, 50)
  source.instead = (line) =>
    line.startsWith('MIGRATE') ? new Error('IOERR error or timeout connecting to the client') : undefined
  await expect(moveSlots(request)).rejects.toThrow(/cannot send keys/)
  expect(renewed).toEqual([])
  source.instead = () => undefined
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10, keysMoved: 50 })
  expect(target.keys).toEqual(new Set(keys))
  expect(open()).toEqual([])
})

it('keys that expired before they were sent are not counted', async () => {
  fill(5, 50)
  source.instead = (line) => {
    if (line.startsWith('MIGRATE')) source.keys.clear()
    return undefined
  }
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10, keysMoved: 0 })
})

it('what has expired and is not removed, as while writes are paused, is not waited for without an end', async () => {
  fill(5, 50)
  source.instead = (line) => (line.startsWith('MIGRATE') ? { ok: 'NOKEY' } : undefined)
  await expect(moveSlots(request)).rejects.toThrow(UnhealthyClusterError)
})

it('a slot of many keys is never named in one reply, and is moved whole', async () => {
  const keys = fill(5, 11_000)
  fill(6, 2000)
  fill(7, 2000)
  expect(await moveSlots(request)).toMatchObject({ keysMoved: 15_000 })
  expect(keys.every((key) => target.keys.has(key))).toBe(true)
  const asked = source.log.filter((line) => line.startsWith('CLUSTER GETKEYSINSLOT'))
  expect(Math.max(...asked.map((line) => Number(line.split(' ')[3])))).toBeLessThanOrEqual(10_000)
  const largest = source.log
    .filter((line) => line.startsWith('MIGRATE'))
    .map((line) => line.split(' ').length)
  expect(Math.max(...largest)).toBeLessThan(220)
})

it('a key that is too large in one of many slots leaves all of them whole', async () => {
  fill(5, 50)
  const [large = ''] = fill(9, 1)
  source.bytes = (key) => (key === large ? 1e9 : 100)
  const error: unknown = await moveSlots(request).catch((thrown: unknown) => thrown)
  expect.assert(error instanceof KeyTooLargeError)
  expect(error).toMatchObject({ key: large, slot: 9, halfMoved: false })
  expect(open()).toEqual([])
  expect(source.keys.size).toBe(51)
})

it('a key beyond those that can be looked through before is refused before it is sent, and the error says so', async () => {
  const last = fill(5, 10_001).at(-1) ?? ''
  source.bytes = (key) => (key === last ? 1e9 : 100)
  const error: unknown = await moveSlots(request).catch((thrown: unknown) => thrown)
  expect.assert(error instanceof KeyTooLargeError)
  expect(error).toMatchObject({ key: last, halfMoved: true })
  expect(source.keys).toEqual(new Set([last]))
  // Nothing else begins, until it is allowed to move.
  await expect(moveSlots({ ...request, slots: [[20, 21]] })).rejects.toThrow(KeyTooLargeError)
  expect(await moveSlots({ ...request, maxKeyBytes: Infinity })).toMatchObject({ slotsMoved: 10 })
  expect(open()).toEqual([])
})

it('a key that grows while its slot waits to be moved is looked at again', async () => {
  fill(5, 50)
  const [grows = ''] = fill(6, 1)
  const sizes = new Map([[grows, 100]])
  source.bytes = (key) => sizes.get(key) ?? 100
  // So slow that what was measured is old by then.
  const realNow = performance.now.bind(performance)
  let late = 0
  performance.now = () => realNow() + late
  source.instead = (line) => {
    if (line.includes('MIGRATING')) {
      sizes.set(grows, 1e9)
      late = 1500
    }
    return undefined
  }
  try {
    await expect(moveSlots(request)).rejects.toThrow(KeyTooLargeError)
  } finally {
    performance.now = realNow
  }
  expect(target.keys.has(grows)).toBe(false)
})

it('a target that refuses one of the slots leaves none of them open', async () => {
  fill(5, 50)
  target.instead = (line) => (/SETSLOT 7 IMPORTING/.test(line) ? new Error('ERR not now') : undefined)
  await expect(moveSlots(request)).rejects.toThrow(ReplyError)
  expect(open()).toEqual([])
  expect(source.keys.size).toBe(50)
})

it('a source that refuses one of the slots gives the others, and leaves none open', async () => {
  fill(5, 50)
  source.instead = (line) => {
    return /SETSLOT 7 MIGRATING/.test(line) ? new Error("ERR I'm not the owner of hash slot 7") : undefined
  }
  await expect(moveSlots(request)).rejects.toThrow(/not the owner/)
  expect(open()).toEqual([])
  expect(target.owned.has(5)).toBe(true)
  expect(target.keys.size).toBe(50)
  expect(source.owned.has(7)).toBe(true)
  expect(renewed).toEqual([])
})

it('a slot that somebody else begins to move after the plan was made is left to them', async () => {
  fill(5, 50)
  const [, middle] = cluster.nodes
  request = {
    ...request,
    slots: [[0, 40]],
    onProgress: () => void source.migrating.set(30, middle?.id ?? ''),
  }
  await expect(moveSlots(request)).rejects.toThrow(/somebody else is moving slot 30/)
  expect(source.migrating.get(30)).toBe(middle?.id)
  expect(target.importing.has(30)).toBe(false)
})

it('a slot whose source was replaced is finished from whoever owns it now', async () => {
  const keys = fill(5, 50)
  // The mark names a node that gives nothing any more: the slot is another's.
  target.importing.set(5, cluster.node(1).id)
  expect(await moveSlots({ ...request, slots: [[5, 5]] })).toMatchObject({ slotsMoved: 1, keysMoved: 50 })
  expect(target.keys).toEqual(new Set(keys))
  expect(open()).toEqual([])
})

it('nothing of a move is begun before who is to be told has heard of it, or where he refuses it', async () => {
  fill(5, 50)
  const told: unknown[] = []
  const changes = () =>
    source.asked('MIGRATE') + source.asked('CLUSTER SETSLOT') + target.asked('CLUSTER SETSLOT')
  const beforeMove: MoveSlotsOptions['beforeMove'] = (slots, from) => {
    told.push(slots, from.id, changes())
    throw new Error('not now')
  }
  await expect(moveSlots({ ...request, beforeMove, dryRun: true })).resolves.toMatchObject({ slotsMoved: 0 })
  expect(told).toEqual([])
  await expect(moveSlots({ ...request, beforeMove })).rejects.toThrow('not now')
  expect(told).toEqual([slotsOf([[0, 9]]), source.id, 0])
  expect(changes()).toBe(0)
  expect(source.keys.size).toBe(50)
  expect(renewed).toEqual([])
})

it('slots of an end that was promoted meanwhile do not count as moved without a loss', async () => {
  const onProgress = () => void (source.promotedFrom = 'f'.repeat(40))
  expect(await moveSlots({ ...request, onProgress })).toMatchObject({ slotsMoved: 10, lossless: false })
  expect(renewed).toEqual([])
})

it('keys that take longer to measure than a size is believed are moved all the same', async () => {
  const keys = fill(5, 1500)
  const realNow = performance.now.bind(performance)
  let late = 0
  performance.now = () => realNow() + late
  source.instead = (line) => {
    if (line.startsWith('MEMORY')) late += 10
    return undefined
  }
  try {
    expect(await moveSlots({ ...request, timeoutMs: 10_000_000 })).toMatchObject({ keysMoved: 1500 })
  } finally {
    performance.now = realNow
  }
  expect(target.keys).toEqual(new Set(keys))
})

it('a target that has not heard of the epoch of its source takes nothing from it', async () => {
  const keys = fill(5, 10)
  cluster.epochKnown = 0
  await expect(moveSlots({ ...request, timeoutMs: 200 })).rejects.toThrow(/has not heard/)
  expect(open()).toEqual([])
  expect(source.keys).toEqual(new Set(keys))
  const moving = moveSlots(request)
  cluster.epochKnown = 1000
  expect(await moving).toMatchObject({ slotsMoved: 10 })
})

it('a slot that its target lost again, after the source let it go, is given to it again', async () => {
  const keys = fill(5, 10)
  loseOnce(5)
  expect(await moveSlots({ ...request, timeoutMs: 2000 })).toMatchObject({ slotsMoved: 10 })
  expect(target.owned.has(5)).toBe(true)
  expect(target.keys).toEqual(new Set(keys))
  // With a higher epoch than whoever took it away.
  expect(target.asked('CLUSTER BUMPEPOCH')).toBe(1)
})

it('a slot that its target lost is given back before the next ones move, not only in the end', async () => {
  const owned: boolean[] = []
  loseOnce(5, (line) => {
    if (/SETSLOT 33 MIGRATING/.test(line)) owned.push(target.owned.has(5))
  })
  expect(await moveSlots({ ...request, slots: [[0, 40]] })).toMatchObject({ slotsMoved: 41 })
  expect(owned).toEqual([true])
  expect(target.asked('CLUSTER BUMPEPOCH')).toBe(1)
})

it('a slot that is lost after all had agreed is given back before anything is moved', async () => {
  const keys = fill(5, 10)
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10 })
  let isLost = false
  // What the servers can do is asked once they agree.
  target.instead = (line) => {
    if (!isLost && line.startsWith('COMMAND')) isLost = target.owned.delete(5)
    return undefined
  }
  expect(await moveSlots({ ...request, slots: [[20, 29]] })).toMatchObject({ slotsMoved: 10 })
  expect(isLost).toBe(true)
  expect(target.owned.has(5)).toBe(true)
  expect(target.keys).toEqual(new Set(keys))
})

it('nobody is told whose a slot is before the owner has said so itself', async () => {
  const third = cluster.node(1)
  const before = new Set(target.owned)
  let looks = 0
  const isHeard = () => looks > 3
  const told: boolean[] = []
  for (const node of [source, third]) {
    node.hears = (one) => (one === target && !isHeard() ? before : one.owned)
    node.instead = (line) => {
      if (line === 'CLUSTER NODES' && target.owned.has(5)) looks++
      if (/SETSLOT \d+ NODE/.test(line)) told.push(isHeard())
      return undefined
    }
  }
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10 })
  expect(told).toEqual(Array(10).fill(true))
  expect(third.asked('CLUSTER SETSLOT')).toBe(0)
})

it('who does not hear whose a slot is, is told in the end', async () => {
  const third = cluster.node(1)
  const before = new Set(target.owned)
  let told = 0
  third.hears = (one) => (one === target && told < 10 ? before : one.owned)
  third.instead = (line) => {
    if (/SETSLOT \d+ NODE/.test(line)) told++
    return undefined
  }
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10 })
  expect(told).toBe(10)
})

it('a source that takes a higher epoch while its keys move is outbid before it lets go', async () => {
  fill(5, 10)
  source.instead = (line) => {
    if (line.startsWith('MIGRATE')) source.epoch = 2000
    return undefined
  }
  await expect(moveSlots({ ...request, timeoutMs: 200 })).rejects.toThrow(/has not heard/)
  expect(source.owned.has(5)).toBe(true)
  expect(target.owned.has(5)).toBe(false)
  cluster.epochKnown = 2000
  expect(await moveSlots(request)).toMatchObject({ slotsMoved: 10 })
})

it('an operation does not end well while a slot has no owner, or two', async () => {
  const whenAsked = (act: () => void) => {
    for (const node of cluster.nodes) {
      node.instead = (line) => {
        if (line === 'CLUSTER NODES' && target.owned.has(9)) act()
        return undefined
      }
    }
  }
  const attempt = (slots: readonly (readonly [number, number])[]) =>
    moveSlots({ ...request, slots, timeoutMs: 300 })
  // Whatever it is told, the target does not keep it.
  whenAsked(() => void target.owned.delete(5))
  await expect(attempt([[0, 9]])).rejects.toThrow(/16383 of 16384 slots are owned/)
  cluster.assign(slotsOf([[0, 9]]), source.id)
  whenAsked(() => void target.owned.add(20))
  await expect(attempt([[0, 9]])).rejects.toThrow(/slot 20 is owned by several nodes/)
  cluster.assign(slotsOf([[0, 20]]), source.id)
  // As many as there should be, but not the same ones.
  whenAsked(() => {
    target.owned.add(20)
    source.owned.delete(21)
  })
  await expect(attempt([[0, 9]])).rejects.toThrow(/16383 of 16384 slots are owned/)
})

it('a slot that nobody calls his own is given to the one who has its keys', async () => {
  const keys = fill(5, 10)
  source.owned.delete(5)
  expect(await moveSlots({ ...request, slots: [[6, 6]], timeoutMs: 5000 })).toMatchObject({ slotsMoved: 1 })
  expect(source.owned.has(5)).toBe(true)
  expect(source.keys).toEqual(new Set(keys))
})

it('a slot that nobody owns and several have keys of is left to somebody who knows more', async () => {
  const [key = ''] = fill(5, 1)
  target.keys.add(key)
  source.owned.delete(5)
  await expect(moveSlots({ ...request, slots: [[6, 6]], timeoutMs: 1500 })).rejects.toThrow(/16383 of 16384/)
  expect(cluster.nodes.some(({ owned }) => owned.has(5))).toBe(false)
})

it('a dry run gives a slot without an owner to nobody', async () => {
  fill(5, 1)
  source.owned.delete(5)
  await expect(moveSlots({ ...request, timeoutMs: 1500, dryRun: true })).rejects.toThrow(/16383 of 16384/)
  expect(source.owned.has(5)).toBe(false)
})

it('a target that has come back and does not serve yet is waited for', async () => {
  const keys = fill(5, 10)
  let refusals = 2
  let looks = 0
  target.instead = (line) => {
    if (line !== 'CLUSTER INFO' || refusals === 2) return undefined
    return `cluster_state:${++looks < 4 ? 'fail' : 'ok'}\r\ncluster_current_epoch:1000\r\n`
  }
  source.instead = (line) =>
    line.startsWith('MIGRATE') && refusals-- > 0
      ? new Error('ERR Target instance replied with error: CLUSTERDOWN The cluster is down')
      : undefined
  expect(await moveSlots({ ...request, timeoutMs: 5000 })).toMatchObject({ slotsMoved: 10, keysMoved: 10 })
  expect(target.keys).toEqual(new Set(keys))
  expect(looks).toBeGreaterThanOrEqual(4)
})
