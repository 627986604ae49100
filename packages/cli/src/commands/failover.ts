import type { Command } from 'commander'
import { act, type Runner } from '../action.js'
import { connectionOf } from '../connection/connection.js'
import { asNodesKnow } from '../connection/nodes.js'
import { type ConnectionFlags, dryRun, withConnection, yes } from '../connection/options.js'
import { Refusal } from '../exit.js'
import { duration } from '../output/units.js'
import { carryingLocks, placed } from './operation.js'

interface FailoverFlags extends ConnectionFlags {
  readonly to?: string
  readonly from?: string
  readonly takeover: boolean
  readonly yes: boolean
  readonly dryRun: boolean
}

export function addFailover(program: Command, runner: Runner): void {
  const command = program
    .command('failover')
    .summary('let a replica take the place of its primary')
    .description(
      'Lets a replica take over, without a loss. With --takeover it asks nobody, for a majority that is gone: what it had not received is lost.',
    )
    .argument('[nodes...]', 'any nodes of the cluster')
    .option('--to <node>', 'the replica that is to be the primary')
    .option('--from <node>', 'instead: the primary that is to be one no more')
    .option('--takeover', 'without asking the others; may lose writes, so it has to be confirmed', false)
    .addOption(yes())
    .addOption(dryRun())
  act<FailoverFlags>(withConnection(command), runner, {
    example: 'slotwise failover 10.0.0.1:6379 --from 10.0.0.2:6379',
    work: async (terminal, args, flags) => {
      if ((flags.to === undefined) === (flags.from === undefined)) {
        throw new Refusal('Name either the replica, by --to NODE, or the primary, by --from NODE.')
      }
      const connection = await connectionOf(flags, args, terminal)
      if (flags.takeover && !flags.dryRun) {
        const who = flags.to ?? `a replica of ${flags.from ?? ''}`
        await terminal.confirm(
          `${who} takes over without asking anybody: what it has not received is lost. Go on?`,
          flags.yes,
        )
      }
      const { failover } = await import('slotwise/cluster')
      const to = flags.to && (await asNodesKnow(flags.to))
      const from = flags.from && (await asNodesKnow(flags.from))
      const done = await carryingLocks(connection, terminal, flags.dryRun, (options) =>
        failover({
          ...options,
          to,
          from,
          mode: flags.takeover ? 'takeover' : 'planned',
        }),
      )
      return {
        json: { ...done, from: done.from ?? null, dryRun: flags.dryRun },
        text: () => {
          const replaced = done.from === undefined ? 'its primary' : placed(done.from)
          if (!done.changed && flags.from !== undefined)
            return `${placed(done.to)} is no primary any more: nothing to do.`
          if (!done.changed) return `${placed(done.to)} is a primary already.`
          if (flags.dryRun) return `${placed(done.to)} would take the place of ${replaced}. Nothing was done.`
          const unless = flags.takeover ? 'is lost' : 'is lost, and whether that is anything is not known'
          const loss = done.lossless ? 'Nothing was lost.' : `What it had not received ${unless}.`
          return `${placed(done.to)} has taken the place of ${replaced}, in ${duration(done.tookMs)}. ${loss}`
        },
      }
    },
  })
}
