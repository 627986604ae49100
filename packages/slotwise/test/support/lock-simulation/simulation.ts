import type { Clocks } from '../../../src/lock/deadline.js'
import type { RedisPort } from '../../../src/redis/index.js'
import {
  checkLockHistory,
  type LockHistoryOptions,
  LockRecorder,
  type LockVerdict,
  type RecordedHold,
  type RecordedLock,
} from '../../../src/testing/faults/index.js'
import type { Twin } from '../../../src/testing/lua/index.js'
import { Chance } from './chance.js'
import { SimulatedNode } from './node.js'
import { type Network, simulatedPort, travelMs } from './port.js'
import { SimulatedProcess } from './process.js'
import { Resource } from './resource.js'
import { VirtualTime } from './virtual-time.js'

/** A lock as a process of the simulation uses it. */
export interface SimulatedLock {
  /** Rejects, or resolves with nothing, where it is not given. */
  acquire(resource: string, options: { ttlMs: number; waitMs: number }): Promise<SimulatedHold | undefined>
}

export interface SimulatedHold {
  readonly token?: bigint | undefined
  remainingMs(): number
  /** Rejects if it did not get more. */
  extend(): Promise<unknown>
  release(): Promise<unknown>
}

/** A way to lock: what is asked of servers, and by which scripts these answer. */
export interface LockBuild {
  readonly nodes: number
  /** In the place of those of the package. */
  readonly scripts?: readonly Twin[] | undefined
  readonly checked?: LockHistoryOptions | undefined
  /** One for each process. */
  open(process: {
    readonly ports: readonly RedisPort[]
    readonly clocks: Clocks
    readonly sleep: (ms: number) => Promise<void>
  }): SimulatedLock
}

/** What goes wrong, each so often: once in about so many milliseconds; none that is not named. */
export interface Weather {
  /** A server loses all that it has. */
  readonly restartMs?: number
  /** A server is replaced by one that is some writes behind, with a clock of its own. */
  readonly failOverMs?: number
  /** A server does not answer for up to a second and a half. */
  readonly hangMs?: number
  /** A process stands still for up to twice the longest time of a lock. */
  readonly pauseMs?: number
  /** The wall clock of a process is set. */
  readonly stepMs?: number
  /** The clock of a server is set, forwards or back. */
  readonly serverStepMs?: number
}

export interface Schedule {
  readonly seed: number
  readonly processes: number
  readonly acquisitions: number
  readonly weather: Weather
  /** How far clocks are off at most. */
  readonly skewMs: number
}

export const MAX_TTL_MS = 1000
/** Far longer than a history takes: one that has not ended by then would never end. */
const LONGEST_MS = 3_600_000

export interface Played extends LockVerdict {
  readonly acquisitions: number
  readonly refusals: number
  readonly virtualMs: number
}

/** One history of a lock, by chance: the same seed gives the same one. */
export async function simulate(build: LockBuild, schedule: Schedule): Promise<Played> {
  const { seed, skewMs, weather } = schedule
  const chance = new Chance(seed)
  const time = new VirtualTime()
  const clock = () => ({ rate: chance.between(0.998, 1.002), aheadMs: chance.between(-skewMs, skewMs) })
  const network: Network = {
    delayMs: chance.one([0.3, 1, 5]),
    late: chance.one([0, 0.02, 0.1]),
    lateMs: chance.one([20, 200, 600]),
    lost: chance.one([0, 0.01, 0.1]),
  }
  const nodes = Array.from(
    { length: build.nodes },
    (_, i) => new SimulatedNode(`node-${i}`, time, clock(), build.scripts),
  )
  const processes = Array.from(
    { length: schedule.processes },
    (_, i) => new SimulatedProcess(i, time, new Chance(chance.whole(0, 2 ** 31)), clock()),
  )
  const recorder = new LockRecorder(() => time.now)
  const resources = new Map([
    ['a', new Resource()],
    ['b', new Resource()],
  ])
  let acquisitions = 0
  let refusals = 0

  /** By the clock of the history, which is right. */
  const seen = ({ rate }: SimulatedProcess, hold: SimulatedHold): RecordedLock => ({
    token: hold.token,
    remainingMs: () => hold.remainingMs() / rate,
  })

  /** Writes under the lock; whoever does not hear of it goes on. */
  const write = (
    process: SimulatedProcess,
    resource: Resource,
    hold: SimulatedHold,
    recorded: RecordedHold,
  ) =>
    new Promise<void>((resolve) => {
      // Whoever looked whether it holds the lock may have to wait before it can send.
      const lateMs = process.chance.happens(0.05) ? process.chance.between(0, 3 * MAX_TTL_MS) : 0
      process.clocks.after(300, resolve)
      const ms = travelMs(process, network)
      if (ms === undefined) return
      time.after(lateMs + ms, () => {
        resource.write(hold.token, recorded)
        process.run(resolve)
      })
    })

  const use = async (
    process: SimulatedProcess,
    name: string,
    hold: SimulatedHold,
    recorded: RecordedHold,
  ) => {
    const resource = resources.get(name) ?? new Resource()
    for (let writes = process.chance.whole(0, 3); writes > 0; writes--) {
      await process.sleep(process.chance.around(process.chance.happens(0.1) ? 300 : 5))
      if (hold.remainingMs() === 0) return recorded.lost()
      await write(process, resource, hold, recorded)
      if (process.chance.happens(0.1)) {
        try {
          await hold.extend()
          recorded.extended(seen(process, hold))
        } catch {
          if (hold.remainingMs() === 0) return recorded.lost()
        }
      }
    }
    // Some die without a word.
    if (process.chance.happens(0.03)) return
    recorded.releasing()
    await hold.release()
  }

  const live = async (process: SimulatedProcess, lock: SimulatedLock) => {
    while (acquisitions < schedule.acquisitions) {
      await process.sleep(process.chance.around(20))
      const name = process.chance.happens(0.7) ? 'a' : 'b'
      const options = {
        ttlMs: process.chance.whole(30, MAX_TTL_MS),
        waitMs: process.chance.one([0, 300, 2000]),
      }
      const recorded = recorder.acquiring(name, process.id)
      const hold = await lock.acquire(name, options).catch(() => undefined)
      if (hold === undefined) {
        recorded.refused()
        refusals++
        await process.sleep(process.chance.around(100))
        continue
      }
      recorded.acquired(seen(process, hold))
      acquisitions++
      await use(process, name, hold, recorded)
    }
  }

  const often = (meanMs: number | undefined, happen: () => void): void => {
    if (meanMs === undefined) return
    time.after(chance.around(meanMs), () => {
      happen()
      often(meanMs, happen)
    })
  }
  const skew = () => chance.between(-skewMs, skewMs)
  often(weather.restartMs, () => chance.one(nodes).restartEmpty())
  often(weather.failOverMs, () => chance.one(nodes).failOver(chance, skew()))
  often(weather.hangMs, () => chance.one(nodes).hang(chance.around(200)))
  often(weather.pauseMs, () => chance.one(processes).pause(chance.between(0, 2 * MAX_TTL_MS)))
  often(weather.stepMs, () => chance.one(processes).setClock(skew()))
  often(weather.serverStepMs, () => chance.one(nodes).setClock(skew()))

  // Whoever waits with a bit of chance of its own is to be repeated, too.
  const { random } = Math
  const { stackTraceLimit } = Error
  Math.random = () => chance.next()
  // Errors are part of the game, and where they come from takes longer to tell than all else.
  Error.stackTraceLimit = 0
  try {
    let living = processes.length
    for (const process of processes) {
      const ports = nodes.map((node) => simulatedPort(process, node, time, network))
      const lock = build.open({ ports, clocks: process.clocks, sleep: (ms) => process.sleep(ms) })
      void live(process, lock).finally(() => {
        living--
      })
    }
    await time.runUntil(() => {
      if (time.now > LONGEST_MS) throw new Error(`only ${acquisitions} locks were given until ${time.now} ms`)
      return living === 0
    })
  } finally {
    Math.random = random
    Error.stackTraceLimit = stackTraceLimit
  }
  return {
    ...checkLockHistory(recorder.events, build.checked),
    acquisitions,
    refusals,
    virtualMs: time.now,
  }
}
