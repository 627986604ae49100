import { inject } from 'vitest'
import { connect } from '../../src/ioredis/index.js'
import type { RedisPort, ScriptSource } from '../../src/redis/index.js'
import { memoryPort, TestClock } from '../../src/testing/index.js'
import { compiledTwin } from './compiled-twin.js'
import { onAnotherClock } from './fake-clock.js'

/** A port by whose scripts it is the time that is set here, and no other, in the projects `memory` and `cluster` both. */
export interface ClockedPort {
  readonly port: RedisPort
  /** In milliseconds since 1970, forwards. */
  set(ms: number): void
}

export async function clockedPort(namespace: string, startMs: number): Promise<ClockedPort> {
  if (inject('inMemory')) {
    const clock = new TestClock(startMs)
    const port = memoryPort({ namespace, scripts: compiledTwin, clock })
    return { port, set: (ms) => clock.advance(ms - clock.now()) }
  }
  const port = await connect({ nodes: inject('clusterNodes'), namespace })
  let now = startMs
  const clocked = new Map<ScriptSource, ScriptSource>()
  const scriptOf = (script: ScriptSource): ScriptSource => {
    const made = clocked.get(script) ?? onAnotherClock(script)
    clocked.set(script, made)
    return made
  }
  const call: RedisPort['call'] = (one, options) =>
    port.call(
      'script' in one
        ? { ...one, script: scriptOf(one.script), args: [...one.args, String(now * 1000)] }
        : one,
      options,
    )
  return {
    port: new Proxy(port, {
      get(target, name) {
        if (name === 'call') return call
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    }),
    set: (ms) => {
      now = ms
    },
  }
}
