import { KeyTooLargeError, ReplyError, UnexpectedReplyError } from '../errors.js'
import type { WireReply } from '../redis/resp.js'
import type { WireCommand } from '../redis/wire.js'
import type { Fleet, OperateOptions } from './fleet.js'
import { placeOf } from './fleet.js'
import { type SlotMove, slotsOf } from './move-plan.js'
import type { Member } from './observe.js'
import type { NodeView } from './view.js'

/** What a move may cost the servers. */
export interface MoveLimits {
  /**
   * Keys larger than this are not moved: MIGRATE stops the source for as long as it takes to send one, about a second
   * for a hundred megabytes. @defaultValue `33554432`, 32 MiB
   */
  readonly maxKeyBytes?: number | undefined
}

/** What was moved. */
export interface Moved {
  readonly slotsMoved: number
  readonly keysMoved: number
}

/** Slots that are half moved at a time: each of them refuses calls over several keys for as long as it is. */
const OPEN = 16
const KEYS = 100
const MIGRATE_MS = 10_000
export const MAX_KEY_BYTES = 32 * 1024 * 1024

/**
 * Moves slots as the cluster specification says: the target takes, the source gives, keys go over in batches, and
 * the target owns the slot before the source lets it go. There is no moment at which a key is served by nobody. What
 * was begun by an earlier run, ours or another's, is finished first.
 *
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#live-resharding | Live resharding}
 */
export class Mover {
  readonly #fleet: Fleet
  readonly #options: OperateOptions & MoveLimits
  #slotsDone = 0
  #slotsTotal = 0
  #keysMoved = 0

  constructor(fleet: Fleet, options: OperateOptions & MoveLimits) {
    this.#fleet = fleet
    this.#options = options
  }

  async run(views: readonly NodeView[], moves: readonly SlotMove[]): Promise<Moved> {
    this.#slotsTotal = moves.reduce((sum, { slots }) => sum + slotsOf(slots).length, 0)
    for (const { from, to, slots } of moves) {
      const source = this.#fleet.find(views, from.id)
      const target = this.#fleet.find(views, to.id)
      const all = slotsOf(slots)
      for (let at = 0; at < all.length; at += OPEN) {
        this.#options.signal?.throwIfAborted()
        const batch = all.slice(at, at + OPEN)
        await this.#moveBatch(views, source, target, batch)
        this.#slotsDone += batch.length
        this.#say(`moving slots from ${source.node} to ${target.node}`)
      }
      await this.#options.afterLosslessMove?.(all, placeOf(target))
    }
    return { slotsMoved: this.#slotsDone, keysMoved: this.#keysMoved }
  }

  #say(step: string): void {
    const { onProgress } = this.#options
    onProgress?.({
      step,
      slotsDone: this.#slotsDone,
      slotsTotal: this.#slotsTotal,
      keysMoved: this.#keysMoved,
    })
  }

  async #moveBatch(
    views: readonly NodeView[],
    source: NodeView,
    target: NodeView,
    slots: readonly number[],
  ): Promise<void> {
    const [from, to] = [this.#fleet.memberOf(source), this.#fleet.memberOf(target)]
    // Before anything is changed: a slot that is refused stays where it is, whole.
    for (const slot of slots) await this.#refuseLargeKeys(from, slot)
    await sendAll(
      to,
      slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.self.id]),
    )
    await sendAll(
      from,
      slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.self.id]),
    )
    for (const slot of slots) await this.#moveKeys(from, target, slot)
    const settle = slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'NODE', target.self.id] as const)
    // The target first: if the source let go first and died, nobody would know where the slot is.
    await sendAll(to, settle)
    await sendAll(from, settle).catch(hasLetGo)
    // The others would hear of it by gossip; told at once, they redirect nobody to where the slot was.
    const others = views.filter(
      (view) => view !== source && view !== target && view.self.primary === undefined,
    )
    await Promise.allSettled(others.map((view) => sendAll(this.#fleet.memberOf(view), settle)))
  }

  async #refuseLargeKeys(from: Member, slot: number): Promise<void> {
    const maxKeyBytes = this.#options.maxKeyBytes ?? MAX_KEY_BYTES
    if (maxKeyBytes === Infinity) return
    const count = Number(await from.client.call(['CLUSTER', 'COUNTKEYSINSLOT', slot]))
    if (count === 0) return
    const keys = listOf(from, await from.client.call(['CLUSTER', 'GETKEYSINSLOT', slot, count]))
    for (let at = 0; at < keys.length; at += KEYS) {
      const some = keys.slice(at, at + KEYS)
      const sizes = await from.client.pipeline(some.map((key) => ['MEMORY', 'USAGE', key] as const))
      for (const [i, size] of sizes.entries()) {
        const key = some[i]
        if (key !== undefined && Number(size) > maxKeyBytes) {
          throw new KeyTooLargeError(key.toString(), Number(size), { slot, node: from.client.node })
        }
      }
    }
  }

  async #moveKeys(from: Member, target: NodeView, slot: number): Promise<void> {
    const { username, password } = this.#options
    const auth: readonly string[] =
      password === undefined
        ? []
        : username === undefined
          ? ['AUTH', password]
          : ['AUTH2', username, password]
    const { host, port } = target.meetAt
    for (let failures = 0; ; ) {
      const keys = listOf(from, await from.client.call(['CLUSTER', 'GETKEYSINSLOT', slot, KEYS]))
      if (keys.length === 0) return
      // REPLACE: a copy at the target can only be what an interrupted MIGRATE left there, and the source goes on
      // serving a key, and changing it, for as long as it has it.
      const options = ['REPLACE', ...auth, 'KEYS', ...keys]
      const command = ['MIGRATE', host, port, '', 0, MIGRATE_MS, ...options] as const
      await from.client.call(command, MIGRATE_MS * 2).catch((error: unknown) => {
        // A time-out between the two leaves a key at both ends at worst, and the next round replaces the copy.
        if (error instanceof ReplyError && error.message.startsWith('IOERR') && ++failures < 5) return
        throw error
      })
      this.#keysMoved += keys.length
      this.#say(`moving slots from ${from.client.node} to ${target.node}`)
    }
  }
}

/**
 * A primary that hears of a new owner before it is told, and has no slot left, makes itself a replica of it, and a replica
 * takes no such order. It has let go by then, which is all that was wanted.
 */
function hasLetGo(error: unknown): void {
  if (error instanceof ReplyError && /SETSLOT only with masters/i.test(error.message)) return
  throw error
}

/** Sends all, and throws what is refused first. */
async function sendAll({ client }: Member, commands: readonly WireCommand[]): Promise<void> {
  const replies = await client.pipeline(commands)
  for (const reply of replies) if (reply instanceof ReplyError) throw reply
}

function listOf({ client }: Member, reply: WireReply): readonly Buffer[] {
  if (Array.isArray(reply) && reply.every((item) => Buffer.isBuffer(item))) return reply
  throw new UnexpectedReplyError(`${client.node} answered CLUSTER GETKEYSINSLOT with ${String(reply)}`)
}
