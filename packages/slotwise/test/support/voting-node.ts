import { OutcomeUnknownError, RedisUnavailableError } from '../../src/errors.js'
import type { CallOptions } from '../../src/options.js'
import type { RedisPort } from '../../src/redis/index.js'
import { MemoryRedis } from '../../src/testing/index.js'
import { compiledTwin } from './compiled-twin.js'
import { portWith } from './port-with.js'
import type { VirtualTime } from './virtual-clocks.js'

/** How a node may take what it is sent. */
export const MOODS = [
  /** As it should. */
  'answers',
  /** What it is sent lies there until it goes on. */
  'hangs',
  /** Does what it is told at once, and says so when it goes on. */
  'is slow to say so',
  /** Does what it is told, and nobody ever hears of it. */
  'loses its answers',
  /** What it is sent comes there when it is delivered, after all that is sent later. */
  'is overtaken',
  'is away',
] as const

type Mood = (typeof MOODS)[number]

/** One of several independent servers, in memory, that may misbehave. */
export class VotingNode {
  readonly redis: MemoryRedis
  readonly port: RedisPort
  mood: Mood = 'answers'
  /** How many calls it was sent. */
  sent = 0
  #goOn: (() => void)[] = []
  readonly #underway: (() => Promise<unknown>)[] = []

  constructor(time: VirtualTime, namespace = '') {
    this.redis = new MemoryRedis({
      clock: time.servers,
      primaries: 1,
      replicasPerPrimary: 0,
      scripts: compiledTwin,
    })
    const port = this.redis.connect({ namespace })
    const answer = async <R>(ask: () => Promise<R>): Promise<R> => {
      const { mood } = this
      if (mood === 'is away') throw new RedisUnavailableError('it is away')
      if (mood === 'is overtaken') {
        this.#underway.push(ask)
        throw new OutcomeUnknownError('the connection was lost', { node: 'memory' })
      }
      if (mood === 'hangs') await this.#later()
      const asked = ask()
      if (mood === 'is slow to say so') await this.#later()
      if (mood === 'loses its answers') {
        await asked.catch(() => {})
        throw new OutcomeUnknownError('the answer was lost', { node: 'memory' })
      }
      return await asked
    }
    const through = <R>(ask: () => Promise<R>, { deadlineMs = 1000 }: CallOptions = {}): Promise<R> =>
      new Promise((resolve, reject) => {
        this.sent++
        const late = new OutcomeUnknownError('it has not answered', { node: 'memory' })
        const cancel = time.clocks().after(deadlineMs, () => reject(late))
        answer(ask).then(resolve, reject).finally(cancel)
      })
    this.port = portWith(port, {
      call: (...args: Parameters<RedisPort['call']>) => through(() => port.call(...args), args[1]),
      pipeline: (...args: Parameters<RedisPort['pipeline']>) =>
        through(() => port.pipeline(...args), args[1]),
      onEachPrimary: async (...args: Parameters<RedisPort['onEachPrimary']>) => {
        if (this.mood === 'is away') return []
        return await port.onEachPrimary(...args)
      },
    })
  }

  /** It answers again, what it owes first. */
  recover(): void {
    this.mood = 'answers'
    for (const go of this.#goOn.splice(0)) go()
  }

  async deliver(): Promise<void> {
    await Promise.all(this.#underway.splice(0).map((ask) => ask()))
  }

  async has(key: string): Promise<boolean> {
    return (await this.redis.connect().onNode('memory:7000', ['EXISTS', key])) === 1
  }

  #later(): Promise<void> {
    return new Promise((resolve) => void this.#goOn.push(resolve))
  }
}
