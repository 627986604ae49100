import type { CommandCall, RedisPort, ScriptCall } from '../../../src/redis/index.js'
import { turns } from './gate.js'

export type Call = CommandCall | ScriptCall

/** What a call is called in a trace: `HGET`, `acquire`. */
export function nameOf(call: Call): string {
  return 'script' in call ? call.script.name.replace(/^.*\//, '') : call.command[0]
}

/** A port whose every call, single or in a pipeline, can be seen and held back before it is sent. */
export interface WatchedPort extends RedisPort {
  /** Names of the calls sent so far. */
  readonly sent: string[]
  /** Resolves when nothing is under way and nothing follows from what has come back. */
  idle(): Promise<void>
}

export function watched(
  port: RedisPort,
  before: (call: Call) => Promise<void> | void = () => {},
): WatchedPort {
  const sent: string[] = []
  let underWay = 0
  const through = async <R>(calls: readonly Call[], send: () => Promise<R>): Promise<R> => {
    underWay++
    try {
      for (const call of calls) await before(call)
      sent.push(...calls.map(nameOf))
      return await send()
    } finally {
      underWay--
    }
  }
  return {
    ...forwarded(port),
    sent,
    call: (call, options) => through([call], () => port.call(call, options)),
    pipeline: (calls, options) => through(calls, () => port.pipeline(calls, options)),
    idle: async () => {
      do await turns()
      while (underWay > 0)
    },
  }
}

function forwarded(port: RedisPort): Omit<RedisPort, 'call' | 'pipeline'> {
  return {
    namespace: port.namespace,
    onNode: (...args) => port.onNode(...args),
    onEachPrimary: (...args) => port.onEachPrimary(...args),
    topology: () => port.topology(),
    onTopology: (listener) => port.onTopology(listener),
    close: () => port.close(),
    [Symbol.asyncDispose]: () => port.close(),
  }
}
