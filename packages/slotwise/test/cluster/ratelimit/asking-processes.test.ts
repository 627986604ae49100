import { randomUUID } from 'node:crypto'
import { describe, expect, inject, it } from 'vitest'
import type { AskingDone, AskingTask, Span } from '../../support/asking-child.js'
import { inProcesses } from '../../support/in-processes.js'

const LIMIT = 10
const WINDOW_MS = 400
const PLACES = 8
const LEASE = { capacity: 100, refillPerSecond: 100, epsilon: 0.2 }

/** What 64 callers in two processes had of each tier. */
async function asked(more: Pick<AskingTask, 'losesEvery' | 'isNaive'>) {
  const task: AskingTask = {
    nodes: inject('clusterNodes'),
    subject: randomUUID(),
    callers: 32,
    forMs: more.isNaive ? 1000 : 2000,
    mostMs: 20_000,
    limit: LIMIT,
    places: PLACES,
    windowMs: WINDOW_MS,
    lease: LEASE,
    ...more,
  }
  const { told } = await inProcesses(2, './asking-child.ts', task)
  const all = told as readonly AskingDone[]
  return {
    of: (name: string): readonly Span[] => all.flatMap(({ spans }) => spans[name] ?? []),
    refused: (name: string): number => all.reduce((sum, { refused }) => sum + (refused[name] ?? 0), 0),
    lost: all.reduce((sum, { lost }) => sum + lost, 0),
    spent: Math.min(...all.map(({ spent }) => spent)),
  }
}

/** The most that lies wholly within any time so long: what the server gave in it for sure. */
function mostWithin(spans: readonly Span[], ms: number): number {
  const sorted = spans.toSorted(([a], [b]) => a - b)
  const counts = sorted.map(
    ([start], i) => sorted.slice(i).filter(([from, to]) => from >= start && to < start + ms).length,
  )
  return Math.max(0, ...counts)
}

/** The most that lies wholly within a window of the clock. */
function mostInWindow(spans: readonly Span[]): number {
  const counts = new Map<number, number>()
  for (const [from, to] of spans) {
    const window = Math.floor(from / WINDOW_MS)
    if (Math.floor(to / WINDOW_MS) === window) counts.set(window, (counts.get(window) ?? 0) + 1)
  }
  return Math.max(0, ...counts.values())
}

/** By how much more than a bucket has in the worst time. */
function mostBeyond(spans: readonly Span[], capacity: number, perSecond: number): number {
  const sorted = spans.toSorted(([a], [b]) => a - b)
  let worst = Number.NEGATIVE_INFINITY
  for (const [i, [start]] of sorted.entries()) {
    const ends = sorted.slice(i).map(([, to]) => to)
    ends.sort((a, b) => a - b)
    for (const [n, end] of ends.entries())
      worst = Math.max(worst, n + 1 - capacity - (perSecond * (end - start)) / 1000)
  }
  return worst
}

/** The most that were held at once. */
function mostAtOnce(spans: readonly Span[]): number {
  const steps = spans.flatMap(([from, to]) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ])
  let [held, most] = [0, 0]
  for (const { by } of steps.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
    held += by
    most = Math.max(most, held)
  }
  return most
}

describe('64 callers in two processes', { timeout: 60_000 }, () => {
  it.each([
    ['get no more than each tier allows', 0],
    ['nor where answers are lost on the way, so that requests and refunds are repeated', 60],
  ])('%s', async (_, losesEvery) => {
    const { of, refused, lost, spent } = await asked({ losesEvery, isNaive: false })
    expect(mostWithin(of('log'), WINDOW_MS)).toBeLessThanOrEqual(LIMIT)
    expect(mostWithin(of('strict'), WINDOW_MS)).toBeLessThanOrEqual(LIMIT)
    expect(mostInWindow(of('clock'))).toBeLessThanOrEqual(LIMIT)
    const twice = ['clock', 'first', 'estimate'].map((name) => mostWithin(of(name), WINDOW_MS))
    expect(Math.max(...twice)).toBeLessThanOrEqual(2 * LIMIT)
    expect(mostBeyond(of('bucket'), LIMIT, (1000 * LIMIT) / WINDOW_MS)).toBeLessThanOrEqual(0)
    const { capacity, refillPerSecond, epsilon } = LEASE
    const beyond = ['leased', 'common'].map((name) => mostBeyond(of(name), capacity, refillPerSecond))
    expect(Math.max(...beyond)).toBeLessThanOrEqual(epsilon * capacity)
    expect(mostAtOnce(of('places'))).toBeLessThanOrEqual(PLACES)
    // Who is not asked for more than there is shows nothing, and a wire that loses nothing neither.
    const names = ['log', 'strict', 'clock', 'first', 'estimate', 'bucket', 'places', 'leased', 'common']
    const idle = names.filter((name) => of(name).length < 2 * LIMIT || refused(name) < 2 * LIMIT)
    expect(idle).toEqual([])
    expect(spent).toBeGreaterThan(0)
    if (losesEvery > 0) expect(lost).toBeGreaterThanOrEqual(10)
  })

  it('get more of one that looks first and takes afterwards', async () => {
    const { of } = await asked({ losesEvery: 0, isNaive: true })
    expect(mostInWindow(of('clock'))).toBeGreaterThan(LIMIT)
  })
})
