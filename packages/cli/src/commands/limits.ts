import { type Command, InvalidArgumentError, Option } from 'commander'
import type { RateLimitAdmin, SubjectReport } from 'slotwise/ratelimit'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, several, withConnection, yes } from '../connection/options.js'
import { Refusal } from '../exit.js'
import { harmless, table } from '../output/table.js'
import { count, duration, size } from '../output/units.js'
import type { Terminal } from '../terminal.js'
import { PLAN_NAMES, tiersOf } from './limit-tiers.js'
import { idsOf } from './write-behind.js'

interface SubjectFlags extends ConnectionFlags {
  readonly namespace?: string
  readonly tenant?: string
  readonly within?: readonly [by: string, part: string]
}

interface TierFlags extends SubjectFlags {
  readonly tier?: readonly string[]
  readonly plan?: (typeof PLAN_NAMES)[number]
  readonly onPlanChange?: 'keep-used' | 'keep-proportion' | 'reset'
}

const ONE = 'slotwise limits'
const API = 'api customer-1 --nodes 10.0.0.1:6379'
const AS = '--tier minute=slidingWindow:limit=100,windowMs=60000'

export function addLimits(program: Command, runner: Runner): void {
  const limits = program
    .command('limits')
    .summary('where a subject of a limiter stands; to block and to reset it')
    .description(
      'Looks after subjects of a rate limiter by its name: where one stands, to refuse it for a time, to let it begin anew.',
    )
    .addHelpText('after', `\nExample:\n  ${ONE} show ${API} --plan FREE`)
  addShow(limits, runner)
  addBlock(limits, runner)
  addReset(limits, runner)
}

const withSubject = (command: Command): Command =>
  withConnection(
    command
      .argument('<name>', 'the name of the limiter')
      .argument('<subject>', 'its id as it is; of several parts as JSON: \'["tenant","acme","user",7]\'')
      .option('--namespace <name>', 'the namespace that its processes connect with')
      .option('--tenant <id>', 'the subject is one of this tenant (`forTenant`)')
      .addOption(
        new Option(
          '--within <by=part>',
          'of a limiter with `together`: the part in whose slot the subject lies, such as tenant=acme; that itself is the subject \'["by","tenant","acme"]\'',
        ).argParser(partOf),
      ),
  )

/** A record says which tiers it is of only to who knows them. */
const withTiers = (command: Command): Command =>
  withSubject(command)
    .addOption(
      new Option(
        '--tier <name=kind:option=value,...>',
        'a limit as the limiter has it, by the names of the library; repeatable, in its order',
      ).argParser(several),
    )
    .addOption(new Option('--plan <name>', 'the limits of a plan of the library').choices(PLAN_NAMES))
    .addOption(
      new Option('--on-plan-change <what>', 'that of the limiter (default: as the record is)').choices([
        'keep-used',
        'keep-proportion',
        'reset',
      ]),
    )

function addShow(parent: Command, runner: Runner): void {
  const command = parent
    .command('show')
    .summary('where a subject stands')
    .description(
      'Tells what is kept of a subject, and consumes nothing. What is left of each limit needs the limits: --tier or --plan.',
    )
  act<TierFlags>(withTiers(command), runner, {
    example: `${ONE} show ${API} ${AS}`,
    work: async (terminal, [name = '', subject = ''], flags) => {
      const { tenant, within } = flags
      const shown = await administered(terminal, name, flags, (admin) =>
        admin.show(idOf(subject), { tenant, within, signal: terminal.signal }),
      )
      return { json: { name, subject, ...shown }, text: () => shownText(shown) }
    },
  })
}

function addBlock(parent: Command, runner: Runner): void {
  const command = parent
    .command('block')
    .summary('refuse it for a time')
    .description(
      'Refuses a subject from now on for a time, whatever it has consumed; a time of 0 ends that. Needs the limits: --tier or --plan.',
    )
  withTiers(command).addOption(
    new Option('--for <time>', 'for how long, such as 30s, 15m, 2h or 7d')
      .argParser(timeMs)
      .makeOptionMandatory(),
  )
  act<TierFlags & { readonly for: number }>(command, runner, {
    example: `${ONE} block ${API} --for 15m ${AS}`,
    work: async (terminal, [name = '', subject = ''], flags) => {
      const { tenant, within, for: forMs } = flags
      if (flags.tier === undefined && flags.plan === undefined) {
        throw new Refusal(
          'A block is written into the record of the subject, which is of the limits of the limiter: give them by --tier or --plan.',
        )
      }
      await administered(terminal, name, flags, (admin) =>
        admin.block(idOf(subject), { tenant, within, forMs, signal: terminal.signal }),
      )
      const text = forMs === 0 ? 'is not blocked' : `is refused for ${duration(forMs)}`
      return { json: { name, subject, blockedMs: forMs }, text: () => `${harmless(subject)} ${text}.` }
    },
  })
}

function addReset(parent: Command, runner: Runner): void {
  const command = parent
    .command('reset')
    .summary('forget what it has consumed')
    .description('Forgets what a subject has consumed, and a block: it begins anew. Asks first.')
  withSubject(command).addOption(yes())
  act<SubjectFlags & { readonly yes: boolean }>(command, runner, {
    example: `${ONE} reset ${API} --yes`,
    work: async (terminal, [name = '', subject = ''], flags) => {
      const { tenant, within } = flags
      const id = idOf(subject)
      const whose = tenant === undefined ? '' : ` of the tenant ${harmless(JSON.stringify(tenant))}`
      await terminal.confirm(
        `What ${harmless(subject)}${whose} has consumed of ${harmless(name)} will be forgotten, and a block of it. Go on?`,
        flags.yes,
      )
      const reset = await administered(terminal, name, flags, (admin) =>
        admin.reset(id, { tenant, within, signal: terminal.signal }),
      )
      const text = reset ? `${harmless(subject)} begins anew.` : `Nothing was kept of ${harmless(subject)}.`
      return { json: { name, subject, reset }, text: () => text }
    },
  })
}

async function administered<R>(
  terminal: Terminal,
  name: string,
  flags: TierFlags,
  use: (admin: RateLimitAdmin<string>) => Promise<R>,
): Promise<R> {
  const tiers = await tiersOf(flags.tier, flags.plan)
  const connection = await connectionOf(flags, [], terminal)
  const { RateLimitAdmin } = await import('slotwise/ratelimit')
  const { namespace, onPlanChange } = flags
  const spaced = namespace === undefined ? connection : { ...connection, namespace }
  return await withPort(spaced, terminal, (port) =>
    use(new RateLimitAdmin(port, { name, tiers, onPlanChange })),
  )
}

const idOf = (text: string) => idsOf([text])?.[0] ?? text

/** `tenant=acme`. */
function partOf(text: string): readonly [string, string] {
  const [, by, part] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  if (by === undefined || part === undefined)
    throw new InvalidArgumentError('It must be the name of a part and its value, such as tenant=acme.')
  return [by, part]
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `30s`, `15m`, `2h`, `7d`, or 0. */
function timeMs(text: string): number {
  const [, value = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text === '0' ? '0s' : text) ?? []
  if (value === '') throw new InvalidArgumentError('It must be a time such as 30s, 15m, 2h or 7d, or 0.')
  return Number(value) * UNITS[unit as keyof typeof UNITS]
}

function shownText(shown: SubjectReport): string {
  if (shown.state === 'fresh') return 'Nothing is kept: as if it had never asked.'
  const { bytes, writtenAt, endsInMs } = shown
  const kept = `${size(bytes)} · written ${writtenAt.toISOString()} · forgotten in ${duration(endsInMs)}`
  if (shown.state === 'unread')
    return `${kept}\nWhat is left needs the limits: give them by --tier or --plan.`
  if (shown.state === 'foreign') return `${kept}\nIt is of other limits than those that were given.`
  const blocked = shown.blockedMs === 0 ? '' : ` · blocked for another ${duration(shown.blockedMs)}`
  const columns = [
    { title: 'LIMIT' },
    { title: 'LEFT', align: 'right' },
    { title: 'OF', align: 'right' },
    { title: 'MORE IN', align: 'right' },
    { title: 'ALL IN', align: 'right' },
  ] as const
  const rows = shown.tiers.map(({ name, remaining, limit, nextMs, resetMs }) => [
    harmless(name),
    count(remaining),
    count(limit),
    nextMs === 0 ? '' : duration(nextMs),
    resetMs === 0 ? '' : duration(resetMs),
  ])
  return `${kept}${blocked}\n\n${table(columns, rows)}`
}
