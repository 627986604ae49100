import { OutcomeUnknownError } from '../../../src/errors.js'
import type { CommandCall, PortCallOptions, RedisPort, Reply, ScriptCall } from '../../../src/redis/index.js'
import { portWith } from '../port-with.js'
import type { SimulatedNode } from './node.js'
import type { SimulatedProcess } from './process.js'
import type { VirtualTime } from './virtual-time.js'

/** What a network does to each message, one by one: later ones may overtake. */
export interface Network {
  readonly delayMs: number
  /** How many are late, and by how much. */
  readonly late: number
  readonly lateMs: number
  /** How many are lost: of half of them somebody learns. */
  readonly lost: number
}

const COMMAND_TIMEOUT_MS = 2000

/** How long a message takes; `undefined` for one that is lost. */
export function travelMs({ chance }: SimulatedProcess, network: Network): number | undefined {
  if (chance.happens(network.lost)) return undefined
  return chance.around(chance.happens(network.late) ? network.lateMs : network.delayMs)
}

/** The port of one process to one node: every message takes its time, or is lost. */
export function simulatedPort(
  process: SimulatedProcess,
  node: SimulatedNode,
  time: VirtualTime,
  network: Network,
): RedisPort {
  const call = (one: CommandCall | ScriptCall, options: PortCallOptions = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      let isOver = false
      const settle = (how: () => void) =>
        process.run(() => {
          if (isOver) return
          isOver = true
          cancel()
          options.signal?.removeEventListener('abort', abort)
          how()
        })
      const unknown = () => reject(new OutcomeUnknownError('there was no answer', { node: node.name }))
      const abort = () => settle(() => reject(options.signal?.reason))
      const cancel = process.clocks.after(options.deadlineMs ?? COMMAND_TIMEOUT_MS, () => settle(unknown))
      options.signal?.addEventListener('abort', abort)

      const lose = () => {
        if (process.chance.happens(0.5)) return
        time.after(process.chance.around(network.delayMs), () => {
          if (one.repeat !== 'safe') settle(unknown)
          else if (!isOver) send()
        })
      }
      const send = () => {
        const thereMs = travelMs(process, network)
        if (thereMs === undefined) return lose()
        time.after(thereMs, () =>
          node.execute(one, (outcome) => {
            const backMs = travelMs(process, network)
            if (backMs === undefined) return lose()
            time.after(backMs, () =>
              settle(() =>
                outcome.status === 'fulfilled' ? resolve(outcome.value) : reject(outcome.reason),
              ),
            )
          }),
        )
      }
      send()
    })

  return portWith(node.port, {
    call,
    pipeline: (calls: Parameters<RedisPort['pipeline']>[0], options?: PortCallOptions) =>
      Promise.allSettled(calls.map((one) => call(one, options))),
    subscribe: async (...[channel, listener]: Parameters<RedisPort['subscribe']>) => {
      await process.sleep(2 * process.chance.around(network.delayMs))
      return await node.port.subscribe(channel, {
        ...listener,
        message: (payload) => {
          const ms = travelMs(process, network)
          if (ms !== undefined) time.after(ms, () => process.run(() => listener.message(payload)))
        },
      })
    },
  })
}
