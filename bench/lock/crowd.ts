import { setTimeout as sleep } from 'node:timers/promises'
import { inTurns, quantile } from '../measuring/rates.js'
import { count, counted, type Served, upFor } from './servers.js'
import type { Candidate, Place, Subject } from './subject.js'
import { CANDIDATES } from './subjects.js'

/** All of them want the same lock, and want it again as soon as they have given it back. */
export const CONTENDERS = 64
/** Connections that they have: as many as of eight processes. */
const CONNECTIONS = 8
const TTL_MS = 5000
/** Hand-overs before any is counted: all are there by then. */
const BEFORE = 16
/** Those who came within so long of each other came together. */
const TOGETHER_MS = 2
/** A hand-over takes the library as long as it takes; this is where looking at it ends. */
const BOUND_MS = 20_000

/** How long each holds it, and how many hand-overs are looked at. */
export const HOLDS = [
  { holdMs: 1, handOvers: 500 },
  { holdMs: 100, handOvers: 40 },
] as const

export interface Round {
  readonly handOvers: number
  readonly perSecond: number
  /** From when one begins to give it back until the next has it. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** The longest that anybody waited of those who got it. */
  readonly longestMs: number
  /** Share of hand-overs to whoever had come first of those who waited. */
  readonly inOrder: number
  /** That reached the server for a hand-over, and microseconds that it spent on them. */
  readonly commands: number
  readonly serverUs: number
}

export interface Crowd {
  readonly name: string
  readonly holdMs: number
  readonly rounds: readonly Round[]
}

/** Everybody in turns. */
export async function measureCrowd(
  placeOf: () => Place,
  { rounds, progress }: { rounds: number; progress: (line: string) => void },
): Promise<readonly Crowd[]> {
  await upFor(placeOf().ports, TTL_MS)
  const crowds: Crowd[] = []
  for (const { holdMs, handOvers } of HOLDS) {
    progress(`${CONTENDERS} contenders that hold a lock for ${holdMs} ms`)
    const entries = Object.entries(CANDIDATES)
    const results = await inTurns(
      rounds,
      entries.map(
        ([, candidate]) =>
          () =>
            roundOf(placeOf(), candidate, holdMs, handOvers),
      ),
    )
    crowds.push(...entries.map(([name], i) => ({ name, holdMs, rounds: results[i] ?? [] })))
  }
  return crowds
}

async function roundOf(
  place: Place,
  { open, sends }: Candidate,
  holdMs: number,
  handOvers: number,
): Promise<Round> {
  const subjects = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => open(place, { ttlMs: TTL_MS })),
  )
  try {
    return await lookedAt(place, subjects, sends, holdMs, handOvers)
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()))
  }
}

async function lookedAt(
  { ports }: Place,
  subjects: readonly Subject[],
  sends: readonly string[] | undefined,
  holdMs: number,
  handOvers: number,
): Promise<Round> {
  // Each of them has taken another lock by then: connected, and with its scripts on the server.
  await Promise.all(subjects.map(async (subject) => await (await subject.acquire('another')).release()))
  const arrived = new Map<number, number>()
  const latencies: number[] = []
  let [inOrder, longestMs, holders] = [0, 0, 0]
  let releasedAt: number | undefined
  let begun: Promise<unknown> | undefined
  let ended: Promise<Served> | undefined
  let [from, took] = [0, 0]
  const until = performance.now() + BOUND_MS
  const got = (who: number, now: number) => {
    const since = arrived.get(who) ?? now
    arrived.delete(who)
    if (releasedAt === undefined || ended !== undefined) return
    if (from === 0) {
      latencies.push(0)
      if (latencies.length < BEFORE) return
      latencies.length = 0
      from = now
      begun = count(ports)
      return
    }
    latencies.push(now - releasedAt)
    longestMs = Math.max(longestMs, now - since)
    if (Math.min(...arrived.values()) >= since - TOGETHER_MS) inOrder++
    if (latencies.length < handOvers && now < until) return
    took = now - from
    ended = counted(ports, sends)
  }
  const isOver = (): boolean => ended !== undefined
  const contend = async (subject: Subject, who: number) => {
    while (!isOver()) {
      arrived.set(who, performance.now())
      const lock = await subject.acquire('the one')
      if (++holders > 1) throw new Error('two hold it at a time')
      got(who, performance.now())
      // Those who are left only want to go home.
      if (!isOver()) await sleep(holdMs)
      holders--
      releasedAt = performance.now()
      await lock.release()
    }
  }
  await Promise.all(
    Array.from({ length: CONTENDERS }, (_, i) => contend(subjects[i % CONNECTIONS] as Subject, i)),
  )
  await begun
  const served = await ended
  if (served === undefined) throw new Error('nothing was counted')
  const made = latencies.length
  return {
    handOvers: made,
    perSecond: (made / took) * 1000,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    longestMs,
    inOrder: inOrder / made,
    commands: served.sent.calls / made,
    serverUs: served.sent.us / made,
  }
}
