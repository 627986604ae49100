import { type Command, InvalidArgumentError, Option } from 'commander'
import type { MoveResult, SlotRange } from 'slotwise/cluster'
import { act, type Outcome, type Runner } from '../action.js'
import { connectionOf } from '../connection/connection.js'
import { asNodesKnow } from '../connection/nodes.js'
import { type ConnectionFlags, dryRun, several, withConnection } from '../connection/options.js'
import { maxKeyBytes } from './membership.js'
import { carryingLocks, movedText } from './operation.js'

interface MovingFlags extends ConnectionFlags {
  readonly dryRun: boolean
  readonly maxKeyBytes?: number
}

interface RebalanceFlags extends MovingFlags {
  readonly weight?: readonly (readonly [string, number])[]
}

interface MoveFlags extends MovingFlags {
  readonly from?: readonly string[]
  readonly to: string
  readonly slots: number | readonly SlotRange[]
}

const outcome = (result: MoveResult, isDry: boolean): Outcome => ({
  json: { ...result, dryRun: isDry },
  text: () => movedText(result.plan, result, isDry),
})

export function addMoving(program: Command, runner: Runner): void {
  const balance = program
    .command('rebalance')
    .summary('give every primary its share of the slots')
    .description(
      'Moves slots until every primary has its share, with the fewest moves. Keys are served all the while. Safe to stop and to repeat.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .addOption(
      new Option(
        '--weight <node=w>',
        'its share beside the others, which have 1; 0 empties it; repeatable',
      ).argParser(readWeight),
    )
    .addOption(maxKeyBytes())
    .addOption(dryRun())
  act<RebalanceFlags>(withConnection(balance), runner, {
    example: 'slotwise rebalance 10.0.0.1:6379 --weight 10.0.0.7:6379=2 --dry-run',
    work: async (terminal, args, flags) => {
      const { rebalance } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, args, terminal)
      const weights = (flags.weight ?? []).map(
        async ([node, weight]) => [await asNodesKnow(node), weight] as const,
      )
      const byNode = Object.fromEntries(await Promise.all(weights))
      const result = await carryingLocks(connection, terminal, flags.dryRun, (options) =>
        rebalance({
          ...options,
          weights: byNode,
          maxKeyBytes: flags.maxKeyBytes,
        }),
      )
      return outcome(result, flags.dryRun)
    },
  })

  const move = program
    .command('move-slots')
    .summary('move slots to one primary')
    .description(
      'Moves a number of slots, or given ones, with their keys. Keys are served all the while. Safe to stop and to repeat.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .addOption(
      new Option('--from <node>', 'a primary that gives; repeatable (default: all others)').argParser(
        several,
      ),
    )
    .requiredOption('--to <node>', 'the primary that takes')
    .addOption(
      new Option('--slots <n|ranges>', 'how many (100), or which (0-99,200 or 200-200)')
        .argParser(readSlots)
        .makeOptionMandatory(),
    )
    .addOption(maxKeyBytes())
    .addOption(dryRun())
  act<MoveFlags>(withConnection(move), runner, {
    example: 'slotwise move-slots 10.0.0.1:6379 --from 10.0.0.2:6379 --to 10.0.0.7:6379 --slots 0-99,200',
    work: async (terminal, args, flags) => {
      const { moveSlots } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, args, terminal)
      const from =
        flags.from && (await Promise.all(flags.from.flatMap((text) => text.split(',')).map(asNodesKnow)))
      const to = await asNodesKnow(flags.to)
      const result = await carryingLocks(connection, terminal, flags.dryRun, (options) =>
        moveSlots({
          ...options,
          to,
          from,
          slots: flags.slots,
          maxKeyBytes: flags.maxKeyBytes,
        }),
      )
      return outcome(result, flags.dryRun)
    },
  })
}

/** A number alone is how many; whoever means one slot writes `200-200`. */
export function readSlots(text: string): number | readonly SlotRange[] {
  const number = (digits: string | undefined) => {
    const value = Number(digits)
    if (digits !== undefined && value < 16_384) return value
    throw new InvalidArgumentError('Slots go from 0 to 16383.')
  }
  if (/^\d+$/.test(text)) {
    if (Number(text) >= 1 && Number(text) <= 16_384) return Number(text)
    throw new InvalidArgumentError('How many must be from 1 to 16384; the slot 0 alone is 0-0.')
  }
  return text.split(',').map((part) => {
    const [, first, last] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part) ?? []
    if (first === undefined)
      throw new InvalidArgumentError('It must be a number, or ranges such as 0-99,200.')
    const range = [number(first), number(last ?? first)] as const
    if (range[0] > range[1]) throw new InvalidArgumentError(`The range ${part.trim()} runs backwards.`)
    return range
  })
}

function readWeight(
  text: string,
  before: readonly (readonly [string, number])[] = [],
): readonly (readonly [string, number])[] {
  const [, node, weight] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(text) ?? []
  if (node === undefined) throw new InvalidArgumentError('It must be NODE=WEIGHT, such as 10.0.0.7:6379=2.')
  return [...before, [node, Number(weight)]]
}
