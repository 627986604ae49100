import { expect, it, onTestFinished } from 'vitest'
import { TopologyWatch } from '../../src/redis/topology-watch.js'

function watching(refreshMs: number) {
  const lookedAt: number[] = []
  const watch = new TopologyWatch({
    refreshMs,
    source: {
      isFixed: false,
      first: () => Promise.resolve([]),
      look: () => {
        lookedAt.push(performance.now())
        return Promise.resolve({ views: [], answered: new Set<string>(), strangers: new Set<string>() })
      },
      close: () => {},
    },
    changed: () => {},
    looked: () => {},
    onError: () => {},
    nameOf: ({ host }) => host,
  })
  onTestFinished(() => watch.close())
  return { watch, lookedAt }
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
