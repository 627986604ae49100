import type { CommandCall, RedisPort, ScriptCall } from '../../../src/redis/index.js'
import { portWith } from '../../support/port-with.js'
import { turns } from './gate.js'

export type Call = CommandCall | ScriptCall

/** What a call is called in a trace: `HGET`, `acquire`. */
export function nameOf(call: Call): string {
  return 'script' in call ? call.script.name.replace(/^.*\//, '') : call.command[0]
}

/** A port whose every call, single or in a pipeline, can be seen, and held back before it is sent and after its answer. */
export interface WatchedPort extends RedisPort {
  /** Names of the calls sent so far. */
  readonly sent: string[]
  /** Resolves when nothing is under way and nothing follows from what has come back. */
  idle(): Promise<void>
}

export function watched(
  port: RedisPort,
  before: (call: Call) => Promise<void> | void = () => {},
  after: (call: Call) => Promise<void> | void = () => {},
): WatchedPort {
  const sent: string[] = []
  const underWay = new Set<symbol>()
  const during = async <R>(act: () => Promise<R>): Promise<R> => {
    const mine = Symbol('call')
    underWay.add(mine)
    try {
      return await act()
    } finally {
      underWay.delete(mine)
    }
  }
  const admit = async (call: Call): Promise<void> => {
    await before(call)
    sent.push(nameOf(call))
  }
  const members: Omit<WatchedPort, Exclude<keyof RedisPort, 'call' | 'pipeline'>> = {
    sent,
    call: (call, options) =>
      during(async () => {
        await admit(call)
        try {
          return await port.call(call, options)
        } finally {
          await after(call)
        }
      }),
    // What is refused stays with its own call, as it does in a pipeline.
    pipeline: (calls, options) =>
      during(async () => {
        const admitted = await Promise.allSettled(calls.map(admit))
        const sendable = calls.filter((_, i) => admitted[i]?.status === 'fulfilled')
        const results = await port.pipeline(sendable, options)
        for (const call of sendable) await after(call)
        const rest = results.values()
        return admitted.map((entry) => (entry.status === 'rejected' ? entry : (rest.next().value ?? lost)))
      }),
    idle: async () => {
      do await turns()
      while (underWay.size > 0)
    },
  }
  return portWith(port, members)
}

const lost: PromiseRejectedResult = { status: 'rejected', reason: new Error('a pipeline lost a result') }
