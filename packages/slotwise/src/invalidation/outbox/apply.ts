import { ConfigurationError, RedisUnavailableError, ReplyError } from '../../errors.js'
import { type Key, type KeySpace, keyOf, keysOf, plainName } from '../../keys.js'
import type { CommandCall, RedisPort, ScriptCall } from '../../redis/port.js'
import { everyKey } from '../everything.js'
import type { ChangeLog } from '../log/change-log.js'
import { distinct } from '../tags/paths.js'
import { changeOf } from '../tags/tag-store.js'
import { writeAll } from '../write-all.js'
import type { OutboxEvent } from './event.js'

/** What became of one event: Redis took it, or it waits for Redis, or it can never be carried out. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'waits'; readonly cause: unknown }
  | { readonly kind: 'impossible'; readonly cause: Error }

/** Bounds on what is sent. */
export interface ApplyOptions {
  readonly replicas: number
  readonly deadlineMs: number | undefined
  readonly signal: AbortSignal
  /** Where what happens to a name is told as well. */
  readonly logs: ReadonlyMap<string, ChangeLog>
}

/** What changes at one key. */
interface Change {
  readonly key: Key
  readonly call: CommandCall | ScriptCall
  readonly log: ChangeLog | undefined
}

/** How long it may take to find everything of a name. */
const EVERYTHING_MS = 60_000

/**
 * Removes the entries that events name, and changes their tags: each thing once, one round trip a node. What a dead primary
 * holds waits, and holds up nothing else. Never rejects.
 */
export async function apply(
  port: RedisPort,
  events: readonly OutboxEvent[],
  options: ApplyOptions,
): Promise<readonly Outcome[]> {
  const changes = new Map<Key, Change>()
  const wanted = events.map((event): { readonly keys: readonly Key[] } | { readonly cause: unknown } => {
    try {
      const own = changesOf(port, event, options.logs)
      for (const change of own) changes.set(change.key, change)
      return { keys: own.map(({ key }) => key) }
    } catch (cause) {
      return { cause }
    }
  })
  const failures = await send(port, [...changes.values()], options)
  const whole = new Map<string, Promise<Outcome>>()
  return await Promise.all(
    events.map(async (event, i): Promise<Outcome> => {
      const want = wanted[i] ?? { keys: [] }
      if ('cause' in want) return judge(want.cause)
      const failed = want.keys.find((key) => failures.has(key))
      if (failed !== undefined) return judge(failures.get(failed))
      if (!event.everything) return { kind: 'done' }
      const which = JSON.stringify([event.name, event.tenant])
      const removed = whole.get(which) ?? removeEverything(port, event, options)
      whole.set(which, removed)
      return await removed
    }),
  )
}

/** @throws ConfigurationError the event names what cannot be */
function changesOf(
  port: RedisPort,
  { name, tenant, entry, tags, everything }: OutboxEvent,
  logs: ReadonlyMap<string, ChangeLog>,
): readonly Change[] {
  if (name === undefined) {
    if (entry === undefined && tags.length === 0 && !everything) return []
    throw new ConfigurationError('an event that concerns something must name the cache or the tags')
  }
  const space = { namespace: port.namespace, name: plainName('name', name), tenant }
  const log = logs.get(name)
  return [
    ...(entry === undefined ? [] : [removalOf(keyOf({ ...space, pattern: 'cache' }, entry), log)]),
    ...distinct(tags).map((tag) => tagChangeOf(keyOf({ ...space, pattern: 'tag' }, tag.split('/')), log)),
  ]
}

const removalOf = (key: Key, log?: ChangeLog): Change => ({
  key,
  call: { key, command: ['DEL', key], repeat: 'safe' },
  log,
})
const tagChangeOf = (key: Key, log?: ChangeLog): Change => ({ key, call: changeOf(key), log })

/** What Redis did not take, and why. */
async function send(
  port: RedisPort,
  changes: readonly Change[],
  options: Omit<ApplyOptions, 'logs'>,
): Promise<ReadonlyMap<Key, unknown>> {
  const failures = new Map<Key, unknown>()
  const sent = changes.filter(({ key }) => {
    const breaker = port.breaker(key)
    // To wait for it would hold up what is for other primaries.
    if (breaker.state === 'open') failures.set(key, new RedisUnavailableError(breaker.reason))
    return breaker.state === 'closed'
  })
  const calls = sent.map(({ call }) => call)
  const results = await writeAll(port, calls, options)
  sent.forEach(({ key }, i) => {
    const result = results[i]
    if (result?.status === 'rejected') failures.set(key, result.reason)
  })
  const done = sent.filter(({ key }) => !failures.has(key))
  await Promise.all(
    [...new Set(done.map(({ log }) => log))].map(async (log) => {
      const told = done.filter((change) => change.log === log).map(({ key }) => key)
      const failed = log && (await refused(port, log.appending(told), options))
      // Done again in whole, which harms nothing.
      if (failed !== undefined) for (const key of told) failures.set(key, failed.reason)
    }),
  )
  return failures
}

/** The first of these that Redis did not take. */
async function refused(
  port: RedisPort,
  calls: readonly ScriptCall[],
  options: Omit<ApplyOptions, 'logs'>,
): Promise<PromiseRejectedResult | undefined> {
  const results = await writeAll(port, calls, options)
  return results.find((result) => result.status === 'rejected')
}

async function removeEverything(
  port: RedisPort,
  event: OutboxEvent,
  options: ApplyOptions,
): Promise<Outcome> {
  const space = { namespace: port.namespace, name: event.name ?? '', tenant: event.tenant }
  const kinds: readonly [KeySpace, (key: Key) => Change][] = [
    [{ ...space, pattern: 'cache' }, removalOf],
    [{ ...space, pattern: 'tag' }, tagChangeOf],
  ]
  try {
    for (const [each, changeAt] of kinds) {
      const bounds = { deadlineMs: EVERYTHING_MS, signal: options.signal }
      for await (const keys of everyKey(port, keysOf(each), bounds)) {
        const changes = keys.map((key) => changeAt(key))
        for (const reason of (await send(port, changes, options)).values()) return judge(reason)
      }
    }
    // Told once and of all: should this process die before, nobody finds again what it has removed.
    const calls = options.logs.get(space.name)?.appendingEverything() ?? []
    const failed = await refused(port, calls, options)
    return failed === undefined ? { kind: 'done' } : judge(failed.reason)
  } catch (error) {
    return judge(error)
  }
}

/** Only what no later moment can mend is impossible: a name that cannot be, or something else at the key of a tag. */
function judge(cause: unknown): Outcome {
  const isImpossible =
    cause instanceof ConfigurationError || (cause instanceof ReplyError && cause.replyCode === 'WRONGTYPE')
  return isImpossible ? { kind: 'impossible', cause } : { kind: 'waits', cause }
}
