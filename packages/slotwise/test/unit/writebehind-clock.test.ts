import { expect, it } from 'vitest'
import { memoryPort, TestClock } from '../../src/testing/index.js'
import { type Row, WriteBehind } from '../../src/writebehind/index.js'

interface Post {
  readonly version: number
  readonly n?: number
}
const HOUR_MS = 3_600_000

it.each([
  ['back', -HOUR_MS],
  ['on', HOUR_MS],
])(
  'a server whose clock steps %s keeps what was accepted, its order and its counters, and tells no nonsense',
  async (_way, step) => {
    const clock = new TestClock()
    const port = memoryPort({ clock })
    const table = new Map<string, Post>()
    const backs: string[] = []
    await using writes = new WriteBehind<Post>(port, {
      name: 'posts',
      partitions: 1,
      flushIntervalMs: 5,
      highWater: 6,
      writeBatch: async (rows: readonly Row<Post>[]) => {
        for (const row of rows) {
          if (row.deleted) continue
          const id = String(row.id)
          if ((table.get(id)?.version ?? 0) > row.value.version) backs.push(id)
          table.set(id, row.value)
        }
      },
      load: (id) => Promise.resolve(table.get(String(id))),
    })
    const count = (idempotencyKey: string) => writes.increment('b', 'n', 1, { idempotencyKey })
    await writes.write('a', { version: 1 })
    await writes.write('b', { version: 1 })
    expect(await count('k')).toMatchObject({ value: 1 })
    clock.advance(step)
    await writes.write('a', { version: 2 })
    // What is known for a minute is over on a clock that has stepped over it.
    expect(await count('k')).toMatchObject({ value: step < 0 ? 1 : 2 })
    while ((await count(`${Math.random()}`)).accepted);
    const refused = await writes.write('a', { version: 3 })
    expect.assert(!refused.accepted)
    expect(refused.retryAfterMs).toBeGreaterThan(0)
    expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000)
    expect((await writes.lag()).ms).toBe(Math.max(0, step))
    const before = await writes.read('b')
    writes.start()
    await writes.drain()
    expect(table.get('a')).toEqual({ version: 2 })
    expect(table.get('b')).toEqual(before)
    clock.advance(-step)
    expect(await writes.write('a', { version: 4 })).toMatchObject({ accepted: true })
    await writes.drain()
    expect(table.get('a')).toEqual({ version: 4 })
    expect(backs).toEqual([])
  },
)
