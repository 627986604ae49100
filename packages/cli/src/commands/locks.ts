import type { Command } from 'commander'
import type { LockAdmin, LockReport } from 'slotwise/lock'
import type { KeyWords } from 'slotwise/redis'
import { act, type Runner } from '../action.js'
import { connectionOf, withPort } from '../connection/connection.js'
import { type ConnectionFlags, whole, withConnection } from '../connection/options.js'
import { EXIT, Refusal } from '../exit.js'
import { harmless, table } from '../output/table.js'
import { count, duration, plural } from '../output/units.js'
import type { Terminal } from '../terminal.js'
import { idsOf } from './write-behind.js'

interface LockFlags extends ConnectionFlags {
  readonly name?: string
  readonly namespace?: string
  readonly tenant?: string
}

const ONE = 'slotwise locks'
const AT = '--nodes 10.0.0.1:6379 --namespace shop'

export function addLocks(program: Command, runner: Runner): void {
  const locks = program
    .command('locks')
    .summary('which locks are held and by whom; to free one')
    .description(
      'Tells which locks are held, by whom and for how long, how many wait for them, and what is in quarantine. Frees one whose holder does not.',
    )
    .addHelpText('after', `\nExample:\n  ${ONE} list ${AT}`)
  addList(locks, runner)
  addShow(locks, runner)
  addRelease(locks, runner)
}

const withPlace = (command: Command): Command =>
  withConnection(
    command
      .option('--namespace <name>', 'the namespace that their processes connect with')
      .option('--tenant <id>', 'locks of this tenant (`forTenant`)'),
  )

const withResource = (command: Command): Command =>
  withPlace(
    command
      .argument('<resource>', 'its id as it is; of several parts as JSON: \'["invoice",42]\'')
      .requiredOption('--name <name>', 'the name of the locks'),
  )

function addList(parent: Command, runner: Runner): void {
  const command = parent
    .command('list', { isDefault: true })
    .summary('the locks that are held')
    .description(
      'Lists the locks that are held. Goes through the keys of every primary, a thousand at a time: nobody waits for that, but with many keys it takes a while.',
    )
    .option('--name <name>', 'only locks of this name')
    .option('--limit <n>', 'list so many at most', whole(1, 1_000_000), 1000)
  act<LockFlags & { readonly limit: number }>(withPlace(command), runner, {
    example: `${ONE} ${AT}`,
    work: async (terminal, _args, flags) => {
      const { tenant, limit } = flags
      const { locks, complete } = await administered(terminal, flags, (admin) =>
        admin.list({
          tenant,
          limit,
          signal: terminal.signal,
          onProgress: ({ keysDone, keysTotal, locks: found }) => {
            const detail = plural(found, 'lock')
            if (keysDone === keysTotal) return
            terminal.progress({ text: 'looking at keys', done: keysDone, total: keysTotal, detail })
          },
        }),
      )
      return {
        json: { locks: locks.map(documented), complete },
        text: () => {
          const more = complete ? '' : `\n\nThere are more than ${plural(limit, 'lock')}: raise --limit.`
          return locks.length === 0 ? 'No lock is held.' : `${lockTable(locks)}${more}`
        },
      }
    },
  })
}

function addShow(parent: Command, runner: Runner): void {
  const command = parent
    .command('show')
    .summary('where one lock stands')
    .description(
      'Tells who holds the lock of a resource and for how long, how many wait, and whether its slot is in quarantine.',
    )
  act<LockFlags>(withResource(command), runner, {
    example: `${ONE} show '["invoice",42]' --name invoices ${AT}`,
    work: async (terminal, [resource = ''], flags) => {
      const { tenant } = flags
      const report = await administered(terminal, flags, (admin) =>
        admin.show(idOf(resource), { tenant, signal: terminal.signal }),
      )
      return { json: documented(report), text: () => shownText(report) }
    },
  })
}

function addRelease(parent: Command, runner: Runner): void {
  const command = parent
    .command('release')
    .summary('free a lock, whoever holds it')
    .description(
      'Frees a lock whoever holds it, and passes it on to the first who waits. Its holder is not stopped by that: without --force it only tells what would happen.',
    )
    .option('--force', 'do it', false)
  act<LockFlags & { readonly force: boolean }>(withResource(command), runner, {
    example: `${ONE} release '["invoice",42]' --name invoices --force ${AT}`,
    work: async (terminal, [resource = ''], flags) => {
      const { tenant, force } = flags
      const id = idOf(resource)
      const options = { tenant, signal: terminal.signal }
      const { released, before } = await administered(terminal, flags, async (admin) =>
        force ? await admin.release(id, options) : { released: false, before: await admin.show(id, options) },
      )
      if (!force && before.state !== 'free') {
        throw new Refusal(
          `${heldText(before)} Nothing was done. With --force ${before.waiting > 0 ? 'the first who waits gets it' : 'it is free'} at once, while its holder may be at work still: it learns of that when it extends the lock, at its deadline at the latest, and until then only what compares tokens keeps its writes out.`,
          { code: 'NOT_FORCED', exitCode: EXIT.finding },
        )
      }
      const of = harmless(resource)
      const next = before.waiting > 0 ? ' The first who waits gets it.' : ''
      const text = released
        ? `The lock of ${of} is taken from ${holderOf(before)}.${next}`
        : before.state === 'free'
          ? `Nobody holds the lock of ${of}.`
          : `The lock of ${of} is no longer that holder's: it has changed hands meanwhile, or was taken from it and the answer got lost.`
      return {
        json: { ...documented(before), released },
        text: () => text,
      }
    },
  })
}

async function administered<R>(
  terminal: Terminal,
  flags: LockFlags,
  use: (admin: LockAdmin) => Promise<R>,
): Promise<R> {
  const connection = await connectionOf(flags, [], terminal)
  const { LockAdmin } = await import('slotwise/lock')
  const { namespace, name } = flags
  const spaced = namespace === undefined ? connection : { ...connection, namespace }
  return await withPort(spaced, terminal, (port) => use(new LockAdmin(port, { name })))
}

const idOf = (text: string) => idsOf([text])?.[0] ?? text

/** Tokens are larger than the numbers of other programs that read JSON. */
const documented = (report: LockReport): object => ({
  ...report,
  tenant: report.tenant ?? null,
  holder: report.holder ?? null,
  token: report.token === undefined ? null : String(report.token),
  quarantinedUntil: report.quarantinedUntil?.toISOString() ?? null,
})

function lockTable(locks: readonly LockReport[]): string {
  const hasTenants = locks.some(({ tenant }) => tenant !== undefined)
  const isQuarantined = locks.some(({ quarantinedUntil }) => quarantinedUntil !== undefined)
  const columns = [
    { title: 'NAME' },
    ...(hasTenants ? [{ title: 'TENANT' }] : []),
    { title: 'RESOURCE' },
    { title: 'HOLDER' },
    { title: 'LEFT', align: 'right' } as const,
    { title: 'TOKEN', align: 'right' } as const,
    { title: 'WAIT', align: 'right' } as const,
    ...(isQuarantined ? [{ title: 'QUARANTINE UNTIL' }] : []),
  ]
  const rows = locks.map((lock) => [
    lock.name,
    ...(hasTenants ? [lock.tenant === undefined ? '' : harmless(wordsOf(lock.tenant))] : []),
    harmless(wordsOf(lock.resource)),
    lock.state === 'kept' ? '(the next who waits)' : harmless(lock.holder ?? ''),
    duration(lock.remainingMs),
    lock.token === undefined ? '' : String(lock.token),
    count(lock.waiting),
    ...(isQuarantined ? [lock.quarantinedUntil?.toISOString() ?? ''] : []),
  ])
  return table(columns, rows)
}

/** As the command line takes it. */
function wordsOf(words: KeyWords<string | readonly string[]>): string {
  if (words.hashed) return `(too long: ${words.sha256})`
  const [word = '', ...more] = [words.words].flat()
  return more.length === 0 ? word : JSON.stringify(words.words)
}

const holderOf = ({ state, holder }: LockReport): string =>
  state === 'kept' ? 'the next who waits' : holder === undefined ? 'a nameless holder' : harmless(holder)

function heldText(report: LockReport): string {
  const { state, remainingMs, token, waiting } = report
  const waits = waiting === 0 ? '' : ` · ${count(waiting)} waiting`
  const told = token === undefined ? '' : ` · token ${token}`
  if (state === 'free') return `Nobody holds it${waits}.`
  if (state === 'kept') return `Kept for the next who waits, for ${duration(remainingMs)}${waits}.`
  return `Held by ${holderOf(report)} for another ${duration(remainingMs)}${told}${waits}.`
}

function shownText(report: LockReport): string {
  const { quarantinedUntil } = report
  const held = heldText(report)
  if (quarantinedUntil === undefined) return held
  return `${held}\nIts server may have forgotten locks: it gives none until ${quarantinedUntil.toISOString()}.`
}
