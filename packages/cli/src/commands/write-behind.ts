import { type Command, Option } from 'commander'
import type { Id } from 'slotwise'
import type { DeadLetter, LagReport, PartitionsProgress, WriteBehindAdmin } from 'slotwise/writebehind'
import { act, type Outcome, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, dryRun, whole, withConnection, yes } from '../connection/options.js'
import { Refusal } from '../exit.js'
import { harmless, table } from '../output/table.js'
import { count, duration, plural, size } from '../output/units.js'
import type { Terminal } from '../terminal.js'

interface NameFlags extends ConnectionFlags {
  readonly namespace?: string
}

interface LettersFlags extends NameFlags {
  readonly tenant?: string
}

interface PartitionsFlags extends NameFlags {
  readonly to: number
  readonly dryRun: boolean
}

const IDS = 'ids of rows as they are; of several parts as JSON: \'["post",7]\' (default: all)'

const withName = (command: Command): Command =>
  withConnection(
    command
      .argument('<name>', 'the name of the write-behind')
      .option('--namespace <name>', 'the namespace that its processes connect with'),
  )

const tenant = (): Option => new Option('--tenant <id>', 'only the rows of this tenant, and ids of it')

export function addWriteBehind(program: Command, runner: Runner): void {
  const writeBehind = program
    .command('writebehind')
    .summary('what waits to be written behind, and what was given up')
    .description(
      'Looks after a write-behind by its name: what waits, the rows that its database does not take, and the number of its partitions.',
    )
    .addHelpText(
      'after',
      '\nExample:\n  slotwise writebehind lag posts --nodes 10.0.0.1:6379 --namespace shop',
    )
  addLag(writeBehind, runner)
  addLetters(writeBehind, runner)
  addPartitions(writeBehind, runner)
}

function addLag(parent: Command, runner: Runner): void {
  const command = parent
    .command('lag')
    .summary('how much waits, since when, and who writes it')
    .description(
      'Tells how many changes wait to be written, how many bytes they take, and since when the oldest waits.',
    )
  withName(command).option('--partitions', 'each partition by itself', false)
  act<NameFlags & { readonly partitions: boolean }>(command, runner, {
    example: 'slotwise writebehind lag posts --nodes 10.0.0.1:6379 --partitions',
    work: async (terminal, [name = ''], flags) => {
      const lag = await administered(terminal, name, flags, (admin) => admin.lag({ signal: terminal.signal }))
      return {
        json: { name, ...lag, moving: lag.moving ?? null },
        text: () => `${lagText(lag)}${flags.partitions ? `\n\n${partitionTable(lag)}` : ''}`,
      }
    },
  })
}

function addLetters(parent: Command, runner: Runner): void {
  const letters = parent
    .command('dead-letters')
    .summary('rows that the database does not take')
    .description('Lists the rows that were given up, tries them again, or forgets them.')
    .addHelpText('after', '\nExample:\n  slotwise writebehind dead-letters list posts --nodes 10.0.0.1:6379')

  const list = letterCommand(
    letters,
    'list',
    'which they are, and why',
    'Lists the rows that were given up, with what the database said.',
  )
  act<LettersFlags>(list, runner, {
    example: 'slotwise writebehind dead-letters list posts --tenant acme --nodes 10.0.0.1:6379',
    work: async (terminal, [name = ''], flags) => {
      const options = { tenant: flags.tenant, signal: terminal.signal }
      const found = await administered(terminal, name, flags, (admin) => admin.deadLetters(options))
      return { json: { name, letters: found }, text: () => letterTable(found) }
    },
  })

  const replay = letterCommand(
    letters,
    'replay',
    'try them again',
    'Tries them again, as if they were written now; but none of a row of which something newer waits. A letter is there until its row is written.',
  ).argument('[ids...]', IDS)
  act<LettersFlags>(replay, runner, {
    example: `slotwise writebehind dead-letters replay posts post-7 '["post",8]' --nodes 10.0.0.1:6379`,
    work: async (terminal, [name = '', ...ids], flags) => {
      const options = { tenant: flags.tenant, signal: terminal.signal }
      const some = idsOf(ids)
      const tried = await administered(terminal, name, flags, (admin) => admin.replay(some, options))
      return { json: { name, tried }, text: () => `${plural(tried, 'row')} will be tried again.` }
    },
  })

  const discard = letterCommand(
    letters,
    'discard',
    'forget them',
    'Forgets them, and so what was to become of their rows. Asks first.',
  )
    .argument('[ids...]', IDS)
    .addOption(yes())
  act<LettersFlags & { readonly yes: boolean }>(discard, runner, {
    example: 'slotwise writebehind dead-letters discard posts post-7 --yes --nodes 10.0.0.1:6379',
    work: async (terminal, [name = '', ...ids], flags) => {
      const some = idsOf(ids)
      const which = some === undefined ? 'All dead letters' : plural(some.length, 'dead letter')
      const whose =
        flags.tenant === undefined ? '' : ` of the tenant ${harmless(JSON.stringify(flags.tenant))}`
      await terminal.confirm(
        `${which}${whose} of ${harmless(name)} will be forgotten, and are written nowhere. Go on?`,
        flags.yes,
      )
      const options = { tenant: flags.tenant, signal: terminal.signal }
      const discarded = await administered(terminal, name, flags, (admin) => admin.discard(some, options))
      return { json: { name, discarded }, text: () => `${plural(discarded, 'dead letter')} forgotten.` }
    },
  })
}

function letterCommand(parent: Command, name: string, summary: string, description: string): Command {
  return withName(parent.command(name).summary(summary).description(description)).addOption(tenant())
}

function addPartitions(parent: Command, runner: Runner): void {
  const command = parent
    .command('partitions')
    .summary('change the number of partitions')
    .description(
      'Spreads the rows over another number of partitions. Until it is done nothing is accepted; what waits is written first, by the processes that flush. Safe to stop and to repeat, with the same number.',
    )
  withName(command)
    .addOption(
      new Option('--to <n>', 'how many there are to be').argParser(whole(1, 1024)).makeOptionMandatory(),
    )
    .addOption(dryRun())
  act<PartitionsFlags>(command, runner, {
    example: 'slotwise writebehind partitions posts --to 64 --nodes 10.0.0.1:6379 --dry-run',
    work: async (terminal, [name = ''], flags): Promise<Outcome> => {
      const { to, dryRun: isDry } = flags
      const onProgress = (progress: PartitionsProgress) => tell(terminal, progress)
      const change = await administered(terminal, name, flags, (admin) =>
        admin.changePartitions(to, { dryRun: isDry, onProgress, signal: terminal.signal }),
      )
      const { from, changed, entries, letters, flushers } = change
      return {
        json: { name, ...change, dryRun: isDry },
        text: () => {
          if (!changed) return `${name} has ${plural(to, 'partition')} already.`
          if (isDry) {
            const what = `${plural(entries, 'change')} would be written first, by ${plural(flushers, 'process', 'processes')}, and ${plural(letters, 'dead letter')} carried over.`
            return `${name} would have ${plural(to, 'partition')} instead of ${count(from)}. ${what} Nothing was done.`
          }
          return `${name} has ${plural(to, 'partition')} instead of ${count(from)}. Its processes accept again once they are told \`partitions: ${to}\`.`
        },
      }
    },
  })
}

async function administered<R>(
  terminal: Terminal,
  name: string,
  flags: NameFlags,
  use: (admin: WriteBehindAdmin) => Promise<R>,
): Promise<R> {
  const connection = await connectionOf(flags, [], terminal)
  const { WriteBehindAdmin } = await import('slotwise/writebehind')
  const { namespace } = flags
  const spaced = namespace === undefined ? connection : { ...connection, namespace }
  return await withPort(spaced, terminal, (port) => use(new WriteBehindAdmin(port, { name })))
}

/** @throws Refusal */
export function idsOf(texts: readonly string[]): readonly Id[] | undefined {
  return texts.length === 0 ? undefined : texts.map(idOf)
}

function idOf(text: string): Id {
  if (!text.startsWith('[')) return text
  let parts: unknown
  try {
    parts = JSON.parse(text)
  } catch {
    parts = undefined
  }
  const isId = (one: unknown): one is Id =>
    Array.isArray(one) &&
    one.length > 0 &&
    one.every((part) => typeof part === 'string' || Number.isSafeInteger(part))
  if (isId(parts)) return parts
  throw new Refusal(
    `${harmless(text)} is no id: one of several parts is a JSON array of them, such as '["post",7]'.`,
  )
}

/** As it can be given again. */
export function idText(id: DeadLetter<unknown>['id']): string {
  if (typeof id !== 'string') return JSON.stringify(id)
  return id.startsWith('[') ? JSON.stringify([id]) : id
}

function lagText({ entries, bytes, ms, flushers, moving }: LagReport): string {
  const waiting =
    entries === 0
      ? 'nothing waits'
      : `${plural(entries, 'change waits', 'changes wait')} (${size(bytes)}), the oldest for ${duration(ms)}`
  const by = flushers === 0 ? 'no process flushes' : plural(flushers, 'process flushes', 'processes flush')
  const moves =
    moving === undefined ? '' : ` · being changed to ${plural(moving, 'partition')}, nothing is accepted`
  return `${waiting} · ${by}${moves}`
}

function partitionTable({ partitions }: LagReport): string {
  const columns = [
    { title: 'PARTITION', align: 'right' },
    { title: 'CHANGES', align: 'right' },
    { title: 'BYTES', align: 'right' },
    { title: 'SINCE', align: 'right' },
  ] as const
  return table(
    columns,
    partitions.map(({ entries, bytes, ms }, i) => [
      String(i),
      count(entries),
      size(bytes),
      entries === 0 ? '' : duration(ms),
    ]),
  )
}

function letterTable(letters: readonly DeadLetter<unknown>[]): string {
  if (letters.length === 0) return 'There are no dead letters.'
  const isTenants = letters.some((letter) => letter.tenant !== undefined)
  const columns = [
    { title: 'SINCE' },
    ...(isTenants ? [{ title: 'TENANT' }] : []),
    { title: 'ID' },
    { title: 'TO BE' },
    { title: 'ERROR' },
  ]
  const rows = letters.map(({ at, tenant: whose, id, row, error }) => [
    at.toISOString(),
    ...(isTenants ? [harmless(whose ?? '')] : []),
    harmless(idText(id)),
    row.deleted ? 'deleted' : 'written',
    harmless(error),
  ])
  return table(columns, rows)
}

function tell(
  terminal: Terminal,
  { step, done, total, entries, marksForMs, flushers }: PartitionsProgress,
): void {
  const left = [
    ...(entries > 0 ? [`${plural(entries, 'change')} to be written`] : []),
    ...(entries > 0 && flushers === 0 ? ['no process flushes: start one'] : []),
    ...(entries === 0 && marksForMs > 0 ? [`${duration(marksForMs)} until no increment may come again`] : []),
  ]
  const detail = left.length === 0 ? {} : { detail: left.join(', ') }
  terminal.progress({ text: STEPS[step], done, total, ...detail })
}

const STEPS = {
  sealing: 'sealing partitions',
  draining: 'draining partitions',
  letters: 'carrying dead letters',
  opening: 'opening partitions',
} as const satisfies Readonly<Record<PartitionsProgress['step'], string>>
