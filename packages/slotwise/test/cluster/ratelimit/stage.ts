import { createHash, randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import { connect } from '../../../src/ioredis/index.js'
import { EPOCH_US } from '../../../src/ratelimit/algorithm.js'
import blockSource from '../../../src/ratelimit/block.lua.js'
import decideSource from '../../../src/ratelimit/decide.lua.js'
import type { Answer, OnPlanChange } from '../../../src/ratelimit/plan.js'
import { Policy } from '../../../src/ratelimit/policy.js'
import refundSource from '../../../src/ratelimit/refund.lua.js'
import renewSource from '../../../src/ratelimit/renew.lua.js'
import type { Tier } from '../../../src/ratelimit/tiers.js'
import togetherSource from '../../../src/ratelimit/together.lua.js'
import {
  type Argument,
  type Key,
  keyOf,
  type RedisPort,
  type Reply,
  type ScriptSource,
} from '../../../src/redis/index.js'
import { MemoryRedis, TestClock } from '../../../src/testing/index.js'
import { compiledTwin } from '../../support/compiled-twin.js'
import { onAnotherClock } from '../../support/fake-clock.js'

/** Where the scripts run by a clock of ours, which also ends keys. Moments are microseconds as the scripts count them. */
export interface Stage {
  run(
    script: ScriptSource,
    keys: Key | readonly [Key, Key],
    args: readonly Argument[],
    nowUs: bigint,
  ): Promise<Reply>
  /** How long the key lasts still, in milliseconds; -2 where there is none. */
  pttl(key: Key, nowUs: bigint): Promise<number>
  close(): Promise<void>
}

const PTTL: ScriptSource<'key', never> = {
  name: 'test/pttl',
  keys: ['key'],
  args: [],
  sha1: 'pttl',
  source: "return redis.call('PTTL', KEYS[1])",
}

export function memoryStage(): Stage {
  const clock = new TestClock(EPOCH_US / 1000)
  const port = new MemoryRedis({ clock, scripts: compiledTwin }).connect()
  const at = (nowUs: bigint): void => clock.advance(Number(nowUs) / 1000 + EPOCH_US / 1000 - clock.now())
  return {
    run: (script, keys, args, nowUs) => {
      at(nowUs)
      return port.call({ script, keys: listOf(keys), args }, { binary: true })
    },
    pttl: async (key, nowUs) => {
      at(nowUs)
      return Number(await port.call({ script: PTTL, keys: [key], args: [] }))
    },
    close: () => port.close(),
  }
}

async function serverStage(): Promise<Stage> {
  const port: RedisPort = await connect({ nodes: inject('clusterNodes'), namespace: 'model' })
  const clocked = new Map<ScriptSource, ScriptSource>()
  const run: Stage['run'] = async (script, keys, args, nowUs) => {
    const known = clocked.get(script) ?? onAnotherClock(script)
    clocked.set(script, known)
    const clock = String(nowUs + BigInt(EPOCH_US))
    return await port.call({ script: known, keys: listOf(keys), args: [...args, clock] }, { binary: true })
  }
  return {
    run,
    pttl: async (key, nowUs) => Number(await run(PTTL, key, [], nowUs)),
    close: () => port.close(),
  }
}

/** In the project `memory` by twins, in the project `cluster` on servers. */
export const anyStage = async (): Promise<Stage> => (inject('inMemory') ? memoryStage() : await serverStage())

const listOf = (keys: Key | readonly [Key, Key]): readonly [Key, ...Key[]] =>
  typeof keys === 'string' ? [keys] : keys

const newKey = (): Key => keyOf({ namespace: 'model', pattern: 'ratelimit', name: 'm' }, randomUUID())

/** A script with one mistake in it. */
export function mutant<K extends string, A extends string>(
  script: ScriptSource<K, A>,
  from: string,
  to: string,
): ScriptSource<K, A> {
  if (!script.source.includes(from)) throw new Error(`${script.name} does not contain ${from}`)
  const source = script.source.replaceAll(from, to)
  return { ...script, source, sha1: createHash('sha1').update(source).digest('hex') }
}

/** Puts a mistake into the script of that name, and leaves the others; of one script always the same. */
export function mistake(name: string, from: string, to: string): (script: ScriptSource) => ScriptSource {
  const made = new Map<ScriptSource, ScriptSource>()
  return (script) => {
    if (script.name !== name) return script
    const known = made.get(script) ?? mutant(script, from, to)
    made.set(script, known)
    return known
  }
}

/** The scripts of a limiter, some of them perhaps with a mistake. */
export interface Scripts {
  readonly decide: ScriptSource
  readonly refund: ScriptSource
  readonly renew: ScriptSource
  readonly block: ScriptSource
  readonly together: ScriptSource
}

export const SCRIPTS: Scripts = {
  decide: decideSource,
  refund: refundSource,
  renew: renewSource,
  block: blockSource,
  together: togetherSource,
}

/** What one key is asked for. */
export interface Asked {
  readonly policy: Policy<string>
  readonly costs: readonly number[]
}

/** One subject, as a limiter would treat it, at moments of our choice. */
export class Subject {
  readonly key: Key
  readonly #stage: Stage
  readonly #scripts: Scripts

  constructor(stage: Stage, scripts: Scripts, key = newKey()) {
    this.key = key
    this.#stage = stage
    this.#scripts = scripts
  }

  async decide(
    policy: Policy<string>,
    costs: readonly number[],
    nowUs: bigint,
    {
      id = Buffer.alloc(8, 1),
      keepUs = 0,
      force = false,
      /** By how much the clock of the process is wrong. */
      skewUs = 0n,
    } = {},
  ): Promise<Answer> {
    const ask = async (ownUs: bigint) => {
      const plan = policy.plan.bytes(costs, force, Number(ownUs < 0n ? 0n : ownUs))
      const args = [plan, id, keepUs === 0 ? '' : keepUs]
      return policy.plan.read(await this.#stage.run(this.#scripts.decide, this.key, args, nowUs), costs)
    }
    const answer = await ask(nowUs + skewUs)
    return answer.verdict === 'another-day' ? await ask(BigInt(answer.nowUs)) : answer
  }

  /** With a part that it has in common with others; the answers in this order. */
  async decideWith(
    part: Subject,
    [own, common]: readonly [Asked, Asked],
    nowUs: bigint,
    id: Buffer,
  ): Promise<readonly [Answer, Answer]> {
    const plan = ({ policy, costs }: Asked) => policy.plan.bytes(costs, false, Number(nowUs))
    const takes = [...own.costs, ...common.costs].some((cost) => cost > 0) ? 1 : 0
    const args = [plan(own), plan(common), id, '', takes, '', '']
    const reply = await this.#stage.run(this.#scripts.together, [this.key, part.key], args, nowUs)
    const [one, other] = reply as readonly unknown[]
    return [own.policy.plan.read(one, own.costs), common.policy.plan.read(other, common.costs)]
  }

  async refund(
    policy: Policy<string>,
    costs: readonly number[],
    { record, id, mark }: { readonly record: Buffer; readonly id: Buffer; readonly mark: Buffer },
    nowUs: bigint,
    keepUs: number,
    /** What the process takes for the time, by which it chooses windows of the calendar. */
    ownUs = nowUs,
  ): Promise<number> {
    const plan = policy.plan.bytes(costs, false, Number(ownUs))
    const args = [plan, record, id.subarray(0, 6), mark, keepUs]
    return Number(await this.#stage.run(this.#scripts.refund, this.key, args, nowUs))
  }

  async renew(policy: Policy<string>, id: Buffer, nowUs: bigint, ownUs = nowUs): Promise<number> {
    const args = [policy.plan.bytes([1], false, Number(ownUs < 0n ? 0n : ownUs)), id.subarray(0, 6)]
    return Number(await this.#stage.run(this.#scripts.renew, this.key, args, nowUs))
  }

  async block(policy: Policy<string>, forMs: number, nowUs: bigint, ownUs = nowUs): Promise<void> {
    const plan = policy.plan.bytes([], false, Number(ownUs < 0n ? 0n : ownUs))
    await this.#stage.run(this.#scripts.block, this.key, [policy.plan.empty, forMs, plan], nowUs)
  }

  pttl(nowUs: bigint): Promise<number> {
    return this.#stage.pttl(this.key, nowUs)
  }
}

export const policyOf = (tiers: readonly Tier[], onPlanChange: OnPlanChange = 'keep-used'): Policy<string> =>
  new Policy(Object.fromEntries(tiers.map((tier, i) => [`t${i}`, tier])), onPlanChange)
