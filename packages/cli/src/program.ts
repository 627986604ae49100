import { readFileSync } from 'node:fs'
import { Command, Help } from 'commander'
import type { Runner } from './action.js'
import { addBench } from './commands/bench.js'
import { addCompletion } from './commands/completion.js'
import { addCreate } from './commands/create.js'
import { addFailover } from './commands/failover.js'
import { addDoctor, addHealth } from './commands/health.js'
import { addInfo } from './commands/info.js'
import { addKeys } from './commands/keys.js'
import { addLimits } from './commands/limits.js'
import { addLocal } from './commands/local.js'
import { addLocks } from './commands/locks.js'
import { addMembership } from './commands/membership.js'
import { addMoving } from './commands/moving.js'
import { addPing } from './commands/ping.js'
import { addProfile } from './commands/profile.js'
import { addWriteBehind } from './commands/write-behind.js'

const GROUPS = [
  ['See:', [addInfo, addHealth, addDoctor, addPing, addBench]],
  ['Change:', [addCreate, addMembership, addMoving, addFailover]],
  ['Patterns:', [addLimits, addLocks, addWriteBehind]],
  ['On this machine:', [addLocal, addKeys, addProfile, addCompletion]],
] as const

/** The command line as a whole; every command is run by `runner`. */
export function program(runner: Runner): Command {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string
  }
  const slotwise = new Command('slotwise')
    .description('Start, create, inspect, diagnose, grow and rebalance a Redis Cluster.')
    .version(version)
    .exitOverride()
    // What is wrong is said once, in our own way; help that was not asked for goes where errors go.
    .configureOutput({ outputError: () => {} })
    .configureHelp({
      // That something is off where nobody has turned it on goes without saying.
      optionDescription(option) {
        return new Help().optionDescription(option).replace(' (default: false)', '')
      },
    })
    .addHelpText('after', '\nExample:\n  slotwise local --base-port 7000\n  slotwise info 127.0.0.1:7000')
  for (const [heading, adders] of GROUPS) {
    slotwise.commandsGroup(heading)
    for (const add of adders) add(slotwise, runner)
  }
  return slotwise
}
