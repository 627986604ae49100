import { type Command, Option } from 'commander'
import { act, type Runner } from '../action.js'
import { connectionOf } from '../connection/connection.js'
import { asNodesKnow } from '../connection/nodes.js'
import { type ConnectionFlags, dryRun, whole, withConnection } from '../connection/options.js'
import { plural } from '../output/units.js'
import { carryingLocks, movedText, operating, placed } from './operation.js'

interface AddFlags extends ConnectionFlags {
  readonly replica: boolean
  readonly replicaOf?: string
  readonly dryRun: boolean
}

interface RemoveFlags extends ConnectionFlags {
  readonly dryRun: boolean
  readonly maxKeyBytes?: number
}

export const maxKeyBytes = (): Option =>
  new Option('--max-key-bytes <n>', 'refuse to move a key that is larger (default: 32 MiB)').argParser(
    whole(1, Number.MAX_SAFE_INTEGER),
  )

export function addMembership(program: Command, runner: Runner): void {
  const add = program
    .command('add-node')
    .summary('introduce an empty server to a cluster')
    .description(
      'Makes an empty server part of a cluster: a primary without slots, which `rebalance` gives some, or a replica. Safe to repeat.',
    )
    .argument('<node>', 'host:port of the server')
    .option('--replica', 'as a replica of the primary that has the fewest', false)
    .option('--replica-of <node>', 'as a replica of this primary')
    .addOption(dryRun())
  act<AddFlags>(withConnection(add), runner, {
    example: 'slotwise add-node 10.0.0.8:6379 --nodes 10.0.0.1:6379 --replica-of 10.0.0.7:6379',
    work: async (terminal, [node = ''], flags) => {
      const { addNode } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, [], terminal)
      const of = flags.replicaOf === undefined ? undefined : await asNodesKnow(flags.replicaOf)
      const role = flags.replica || of !== undefined ? 'replica' : 'primary'
      const added = await addNode({ ...operating(connection, terminal, flags.dryRun), node, role, of })
      return {
        json: { ...added, dryRun: flags.dryRun },
        text: () => {
          const what = added.of === undefined ? `a ${added.role}` : `a replica of ${placed(added.of)}`
          if (!added.changed) return `${placed(added.node)} belongs to the cluster already, as ${what}.`
          if (flags.dryRun) return `${placed(added.node)} would become ${what}. Nothing was done.`
          const next = added.role === 'primary' ? ' `slotwise rebalance` gives it slots.' : ''
          return `${placed(added.node)} is ${what} now.${next}`
        },
      }
    },
  })

  const remove = program
    .command('remove-node')
    .summary('empty a node, have all forget it, and reset it')
    .description(
      'Takes a node out of its cluster. The slots of a primary go to the others first, and its replicas follow somebody else. Safe to stop and to repeat.',
    )
    .argument('<node>', 'its address or id')
    .addOption(maxKeyBytes())
    .addOption(dryRun())
  act<RemoveFlags>(withConnection(remove), runner, {
    example: 'slotwise remove-node 10.0.0.7:6379 --nodes 10.0.0.1:6379 --dry-run',
    work: async (terminal, [node = ''], flags) => {
      const { removeNode } = await import('slotwise/cluster')
      const connection = await connectionOf(flags, [], terminal)
      const leaving = await asNodesKnow(node)
      const removed = await carryingLocks(connection, terminal, flags.dryRun, (options) =>
        removeNode({
          ...options,
          node: leaving,
          maxKeyBytes: flags.maxKeyBytes,
        }),
      )
      return {
        json: { ...removed, node: removed.node ?? null, dryRun: flags.dryRun },
        text: () => {
          const { plan, reattached } = removed
          const followers = reattached.map(({ replica, to }) => `${placed(replica)} follows ${placed(to)}`)
          const moved = plan.length === 0 ? '' : `${movedText(plan, removed, flags.dryRun)}\n`
          const will = followers.length === 0 ? '' : `${followers.join('\n')}\n`
          if (removed.node === undefined) return `${node} has left the cluster already.`
          const name = placed(removed.node)
          const end = flags.dryRun
            ? `${name} would leave the cluster${plan.length === 0 ? '. Nothing was done' : ''}.`
            : `${name} has left the cluster, and is an empty server now (${plural(removed.slotsMoved, 'slot')} moved).`
          return `${moved}${will}${end}`
        },
      }
    },
  })
}
