import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { RedisUnavailableError } from 'slotwise'
import type { CreateClusterOptions, CreatedCluster } from 'slotwise/cluster'
import { act, type Runner } from '../action.js'
import { connectionOf } from '../connection/connection.js'
import { type ConnectionFlags, whole, withConnection } from '../connection/options.js'
import { table } from '../output/table.js'
import { duration, ranges } from '../output/units.js'
import type { Terminal } from '../terminal.js'
import { placed } from './operation.js'

interface CreateFlags extends ConnectionFlags {
  readonly replicas: number
  readonly wait: number
}

const AGAIN_MS = 500

export function addCreate(program: Command, runner: Runner): void {
  const command = program
    .command('create')
    .summary('make one cluster of servers, or finish one that was begun')
    .description(
      'Makes a cluster of empty servers in cluster mode. Safe to repeat: a whole cluster is left as it is, a half-made one is finished, and servers that hold data or belong elsewhere are refused before anything is changed.',
    )
    .argument('[nodes...]', 'all nodes, in any order')
    .addOption(new Option('-r, --replicas <n>', 'of each primary').argParser(whole(0, 10)).default(1))
    .addOption(
      new Option('-w, --wait <seconds>', 'begin again for so long while nodes do not answer')
        .argParser(whole(0, 86_400))
        .default(0),
    )
  act<CreateFlags>(withConnection(command), runner, {
    example: 'slotwise create n1:7000 n2:7000 n3:7000 n4:7000 n5:7000 n6:7000 --replicas 1 --wait 60',
    work: async (terminal, args, flags) => {
      const connection = await connectionOf(flags, args, terminal)
      const began = performance.now()
      // Each attempt begins with the same steps: told once, or a log would fill up with them.
      const told = new Set<string>()
      const options = {
        ...connection,
        replicasPerPrimary: flags.replicas,
        signal: terminal.signal,
        onProgress: (text: string) => {
          if (!told.has(text)) terminal.progress({ text })
          told.add(text)
        },
      }
      const { made, attempts } = await persistently(options, terminal, flags.wait * 1000)
      return { json: made, text: () => describe(made, attempts, performance.now() - began) }
    },
  })
}

/** Nodes that have not started yet look like nodes that never will: only time tells. */
async function persistently(
  options: CreateClusterOptions,
  terminal: Terminal,
  waitMs: number,
): Promise<{ readonly made: CreatedCluster; readonly attempts: number }> {
  const { createCluster } = await import('slotwise/cluster')
  const until = performance.now() + waitMs
  for (let attempts = 1; ; attempts++) {
    try {
      return { made: await createCluster(options), attempts }
    } catch (error) {
      const isLate = performance.now() >= until
      if (isLate || !(error instanceof RedisUnavailableError)) throw error
      const left = Math.ceil((until - performance.now()) / 1000)
      terminal.progress({
        text: `waiting for ${error.node ?? 'the nodes'}`,
        detail: `at most ${left} s more`,
      })
      await sleep(AGAIN_MS, undefined, { signal: terminal.signal })
    }
  }
}

function describe(
  { changed, primaries, replicas }: CreatedCluster,
  attempts: number,
  tookMs: number,
): string {
  const rows = primaries.flatMap((primary) => [
    [placed(primary), 'primary', ranges(primary.slots), primary.id],
    ...replicas
      .filter((replica) => replica.primary === primary.id)
      .map((replica) => [placed(replica), 'replica', `of ${placed(primary)}`, replica.id]),
  ])
  const columns = [{ title: 'NODE' }, { title: 'ROLE' }, { title: 'SLOTS' }, { title: 'ID' }]
  // What an attempt had done that ended too early is not known to the one that finds it whole.
  const isMade = changed || attempts > 1
  const head = isMade ? `The cluster is made, in ${duration(tookMs)}.` : 'The cluster was whole already.'
  return `${table(columns, rows)}\n\n${head}`
}
