import { type Command, InvalidArgumentError, Option } from 'commander'

/** What every command takes that reaches a cluster, as commander gives it. */
export interface ConnectionFlags {
  readonly nodes?: readonly string[]
  readonly user?: string
  readonly passwordFile?: string
  readonly askPassword?: boolean
  readonly tls?: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly map?: readonly string[]
  readonly profile?: string
  readonly timeout?: number
}

const HEADING = 'To reach the cluster:'

/** Repeatable. */
export const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
]

/** A whole number within bounds, or commander's complaint that names the option. */
export function whole(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= min && number <= max) return number
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
  }
}

/** Words out of a list, separated by commas; repeatable. */
export function words<const Word extends string>(allowed: readonly Word[]) {
  return (value: string, before: readonly Word[] = []): readonly Word[] => {
    const given = value.split(',').map((word) => word.trim())
    const known = given.flatMap((word) => allowed.find((one) => one === word) ?? [])
    if (known.length === given.length) return [...before, ...known]
    throw new InvalidArgumentError(`It must be of ${allowed.join(', ')}.`)
  }
}

/** Who logs in, and how; also what a new server asks for. */
export function withLogin(command: Command, heading = HEADING): Command {
  return command
    .addOption(new Option('--user <name>', 'the user to log in as (SLOTWISE_USER)').helpGroup(heading))
    .addOption(
      new Option(
        '--password-file <file>',
        'file that holds the password (SLOTWISE_PASSWORD_FILE; SLOTWISE_PASSWORD holds it itself)',
      ).helpGroup(heading),
    )
    .addOption(new Option('--ask-password', 'ask for the password, without showing it').helpGroup(heading))
}

/** The options by which a cluster is reached: the same everywhere. */
export function withConnection(command: Command): Command {
  command.addOption(
    new Option('-n, --nodes <host:port,...>', 'any nodes of the cluster; repeatable (SLOTWISE_NODES)')
      .argParser(several)
      .helpGroup(HEADING),
  )
  return withLogin(command)
    .addOption(new Option('--tls', "TLS, with the system's authorities").helpGroup(HEADING))
    .addOption(new Option('--ca <file>', 'TLS, with the authority in this file').helpGroup(HEADING))
    .addOption(
      new Option('--cert <file>', 'our own certificate, where servers ask for one').helpGroup(HEADING),
    )
    .addOption(new Option('--key <file>', 'and its key').helpGroup(HEADING))
    .addOption(
      new Option(
        '--map <from=to>',
        "where a node is reached: HOST:PORT=HOST:PORT; '*=HOST' keeps ports; repeatable",
      )
        .argParser(several)
        .helpGroup(HEADING),
    )
    .addOption(new Option('--profile <name>', 'what `slotwise profile add` has kept').helpGroup(HEADING))
    .addOption(
      new Option('--timeout <ms>', 'how long nodes may take to answer, and to agree')
        .argParser(whole(1, 3_600_000))
        .helpGroup(HEADING),
    )
}

/** How every command speaks. */
export function withManner(command: Command): Command {
  return command
    .option('--json', 'one JSON document on stdout', false)
    .option('--no-color', 'no colours (as NO_COLOR)')
    .option('--debug', 'show where an error comes from', false)
}

export const dryRun = (): Option =>
  new Option('--dry-run', 'show what would be done, and do nothing').default(false)
export const yes = (): Option => new Option('-y, --yes', 'do not ask').default(false)
