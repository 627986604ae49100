import { expect, it, onTestFinished } from 'vitest'
import type { TopologyChange } from '../../src/redis/index.js'
import { TopologyWatch } from '../../src/redis/topology-watch.js'

const node = (id: string, port: number, slots: readonly (readonly [number, number])[]) => {
  const rest = { failed: false, isSelf: false, epoch: 1 }
  return { id, host: '10.0.0.1', port, role: 'primary', primary: undefined, slots, ...rest } as const
}
const VIEW = [node('a', 1, [[0, 16_383]]), node('b', 2, [])]

function watching(refreshMs: number) {
  const lookedAt: number[] = []
  const changed: number[] = []
  const watch = new TopologyWatch({
    refreshMs,
    source: {
      isFixed: false,
      first: () => Promise.resolve([VIEW]),
      look: () => {
        lookedAt.push(performance.now())
        return Promise.resolve({ views: [], answered: new Set<string>(), strangers: new Set<string>() })
      },
      close: () => {},
    },
    changed: () => void changed.push(performance.now()),
    looked: () => {},
    onError: () => {},
    nameOf: ({ host }) => host,
  })
  onTestFinished(() => watch.close())
  return { watch, lookedAt, changed }
}

it('a look that is asked for again and again is made all the same, and not more often than every 50 ms', async () => {
  const { watch, lookedAt } = watching(60_000)
  await watch.start(1000)
  // As calls do that wait to believe what they were answered: each time just before the look that the last one asked for.
  let over = false
  onTestFinished(() => void (over = true))
  const ask = () => {
    if (over) return
    setTimeout(ask, 1)
    watch.refresh()
  }
  ask()
  await expect.poll(() => lookedAt.length, { interval: 1, timeout: 5000 }).toBeGreaterThan(3)
  over = true
  const apart = lookedAt.slice(1).map((at, i) => at - (lookedAt[i] ?? 0))
  // A timer may be a millisecond early.
  expect(Math.min(...apart)).toBeGreaterThan(48)
})

it('looks are made without being asked for, and go on at that pace after one that was', async () => {
  const { watch, lookedAt } = watching(100)
  await watch.start(1000)
  await expect.poll(() => lookedAt.length, { timeout: 5000 }).toBeGreaterThan(1)
  watch.refresh()
  const before = lookedAt.length
  await expect.poll(() => lookedAt.length, { timeout: 5000 }).toBeGreaterThan(before + 2)
})

it('what a failover redirects one by one is known at once, and told together', async () => {
  const { watch, changed } = watching(60_000)
  await watch.start(1000)
  const told: (readonly TopologyChange[])[] = []
  watch.onChange((_, changes) => void told.push(changes))
  const before = changed.length
  const version = watch.table.version
  const slots = Array.from({ length: 5000 }, (_, i) => i * 3)
  for (const slot of slots) {
    watch.moved(slot, { host: '10.0.0.1', port: 2 })
    watch.moved(slot, { host: '10.0.0.1', port: 2 })
    expect(watch.table.ownerOf(slot)?.id).toBe('b')
  }
  expect(watch.table.version).toBeGreaterThan(version)
  expect(told).toEqual([])
  await Promise.resolve()
  const [from, to] = watch.table.nodes
  expect(told).toEqual([[{ kind: 'slots-moved', from, to, slots }]])
  expect(changed.length).toBe(before + 1)
})

it('a redirection is told before a look that came with it, and not after the end', async () => {
  const { watch } = watching(60_000)
  const told: string[] = []
  watch.onChange((_, changes) => {
    for (const change of changes)
      if (change.kind === 'slots-moved') told.push(`${change.to?.id} ${change.slots.length}`)
  })
  await watch.start(1000)
  watch.moved(7, { host: '10.0.0.1', port: 2 })
  void watch.start(1000)
  await expect.poll(() => told, { interval: 1 }).toEqual(['b 1', 'a 1'])
  watch.moved(8, { host: '10.0.0.1', port: 2 })
  watch.close()
  await Promise.resolve()
  expect(told).toEqual(['b 1', 'a 1'])
})
