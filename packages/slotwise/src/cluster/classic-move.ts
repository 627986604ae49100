import { setTimeout as pause } from 'node:timers/promises'
import { ReplyError, UnhealthyClusterError } from '../errors.js'
import type { WireCommand } from '../redis/wire.js'
import { claim, ordersFor } from './claim.js'
import { outbids } from './epochs.js'
import type { Fleet, OperateOptions } from './fleet.js'
import { hasHeard } from './heard.js'
import { type Member, observe } from './observe.js'
import { asked, type Found, keysIn, type SlotKey } from './slot-keys.js'
import { type NodeView, owns } from './view.js'
import type { MoveLimits, Tally } from './way.js'

/** Slots that are half moved at a time: each of them refuses calls over several keys for as long as it is. */
const OPEN = 16
/**
 * What the source sends before it turns to its clients again, if it is more than one key. Larger batches are hardly
 * faster: they are longer pauses.
 */
const BATCH = { keys: 200, bytes: 512 * 1024 }
const MIGRATE_MS = 10_000
/** A size that is older is asked for again: keys grow. */
const FRESH_MS = 1000
const FAILURES = 5
/** What the source says of a target that takes part in the cluster and does not serve. */
const DOWN = /^ERR Target instance replied with error: CLUSTERDOWN/
export const MAX_KEY_BYTES = 32 * 1024 * 1024

/**
 * Moves slots as the cluster specification says: the target takes, the source gives, keys go over in batches, and
 * the target owns the slot before the source lets it go. There is no moment at which a key is served by nobody. What
 * was begun by an earlier run, ours or another's, is finished.
 *
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#live-resharding | Live resharding}
 */
export class ClassicMove {
  readonly #fleet: Fleet
  readonly #options: OperateOptions & MoveLimits
  readonly #tally: Tally

  constructor(fleet: Fleet, options: OperateOptions & MoveLimits, tally: Tally) {
    this.#fleet = fleet
    this.#options = options
    this.#tally = tally
  }

  async move(
    views: readonly NodeView[],
    source: NodeView,
    target: NodeView,
    slots: readonly number[],
  ): Promise<void> {
    for (let at = 0; at < slots.length; at += OPEN) {
      this.#options.signal?.throwIfAborted()
      const batch = slots.slice(at, at + OPEN)
      await this.#moveBatch(views, source, target, batch, slots.slice(0, at))
      this.#tally.slots += batch.length
      this.#tally.say(`moving slots from ${source.node} to ${target.node}`)
    }
    const others = views.filter(
      (view) => view !== source && view !== target && view.self.primary === undefined,
    )
    await Promise.allSettled(others.map((view) => this.#tell(this.#fleet.memberOf(view), target, slots)))
  }

  /** One that has not heard of it from the bus would redirect its clients to where the slots were. */
  async #tell(member: Member, target: NodeView, slots: readonly number[]): Promise<void> {
    if (!(await hasHeard(member, target.self.id, slots))) await asked(member, ordersFor(target, slots))
  }

  async #moveBatch(
    views: readonly NodeView[],
    source: NodeView,
    target: NodeView,
    slots: readonly number[],
    before: readonly number[],
  ): Promise<void> {
    const [from, to] = [this.#fleet.memberOf(source), this.#fleet.memberOf(target)]
    const earlier = await openSlots(from, to, source, target)
    const lost = before.filter(earlier.isLost)
    // The operation would see it in the end; until then nobody would serve them.
    if (lost.length > 0) await claim(this.#fleet, views, target, lost)
    const foreign = earlier.foreign.find((slot) => slots.includes(slot))
    if (foreign !== undefined) {
      throw new UnhealthyClusterError(
        `somebody else is moving slot ${foreign}, which was not being moved when we looked: run it again when they are done`,
      )
    }
    // Before anything is changed: a slot that is refused stays where it is, whole.
    const found = await this.#keysIn(from, slots, (slot) => earlier.ours.has(slot))
    // A mark that names an earlier owner keeps the target from learning of the present one, and then from serving.
    const outdated = target.self.open.filter(
      ({ slot, state, peer }) => state === 'importing' && peer !== source.self.id && slots.includes(slot),
    )
    await asked(
      to,
      ordersFor(
        source,
        outdated.map(({ slot }) => slot),
      ),
    )
    const { opened, refusal } = await open(from, to, source, target, slots, earlier.ours)
    await this.#moveKeys(from, to, target, opened, found)
    // Once more, and now: the move has taken a while, and what the target loses to a late packet it deletes. Whoever
    // stops us waits for that too, as the slots are open.
    await outbids(to, from, [], { timeoutMs: this.#options.timeoutMs })
    const settle = ordersFor(target, opened)
    // The target first: if the source let go first and died, nobody would know where the slot is.
    await asked(to, settle)
    await hasHeard(from, target.self.id, opened).catch(() => false)
    await letGo(from, settle, opened)
    if (refusal !== undefined) throw refusal
  }

  #keysIn(from: Member, slots: readonly number[], halfMoved: (slot: number) => boolean) {
    return keysIn(from, slots, this.#options.maxKeyBytes ?? MAX_KEY_BYTES, halfMoved)
  }

  async #moveKeys(
    from: Member,
    to: Member,
    target: NodeView,
    slots: readonly number[],
    found: Found,
  ): Promise<void> {
    let first = found
    const wanted = new Set(slots)
    let { keys, at } = first
    keys = keys.filter(({ slot }) => wanted.has(slot))
    let stuck = 0
    while (slots.length > 0) {
      const isOld = performance.now() - at > FRESH_MS
      if (keys.length === 0 || isOld) {
        const [before] = first.keys
        first = await this.#keysIn(from, slots, () => true)
        if (first.isEmpty) return
        ;({ keys, at } = first)
        // The same as before has not gone: the target cannot be reached, or what has expired is not being removed.
        stuck = before !== undefined && keys[0]?.key.equals(before.key) ? stuck + 1 : 0
        if (stuck === FAILURES) {
          throw new UnhealthyClusterError(
            `${from.client.node} cannot send keys to ${target.node}; their slots are half moved, and served: run it again`,
          )
        }
      }
      const size = batchSize(keys)
      const { sent, isDown } = await this.#migrate(from, target, keys.slice(0, size))
      this.#tally.keys += sent
      if (isDown) await this.#untilServing(to)
      keys = keys.slice(size)
      this.#tally.say(`moving slots from ${from.client.node} to ${target.node}`)
    }
  }

  /** A node that has come back takes nothing for a moment: up to some seconds, whatever the others believe. */
  async #untilServing(to: Member): Promise<void> {
    const deadline = performance.now() + (this.#options.timeoutMs ?? 30_000)
    while ((await observe(to))?.ok !== true) {
      if (performance.now() > deadline) {
        throw new UnhealthyClusterError(
          `${to.client.node} does not accept commands: run it again when it does`,
        )
      }
      await pause(20)
    }
  }

  /** How many were sent, and whether the target takes none now. What was not sent is found again in the next round. */
  async #migrate(
    from: Member,
    target: NodeView,
    keys: readonly SlotKey[],
  ): Promise<{ readonly sent: number; readonly isDown: boolean }> {
    const { username, password } = this.#options
    const auth: readonly string[] =
      password === undefined
        ? []
        : username === undefined
          ? ['AUTH', password]
          : ['AUTH2', username, password]
    const { host, port } = target.meetAt
    const bySlot = new Map<number, Buffer[]>()
    for (const { slot, key } of keys) {
      const group = bySlot.get(slot)
      if (group === undefined) bySlot.set(slot, [key])
      else group.push(key)
    }
    const groups = [...bySlot.values()]
    // REPLACE: a copy at the target can only be what an interrupted MIGRATE left there, and the source goes on
    // serving a key, and changing it, for as long as it has it.
    const commands = groups.map(
      (group): WireCommand => [
        'MIGRATE',
        host,
        port,
        '',
        0,
        MIGRATE_MS,
        'REPLACE',
        ...auth,
        'KEYS',
        ...group,
      ],
    )
    const replies = await from.client.pipeline(commands, MIGRATE_MS * (commands.length + 1))
    let sent = 0
    let isDown = false
    for (const [i, reply] of replies.entries()) {
      // A time-out between the two leaves a key at both ends at worst, and the next round replaces the copy.
      if (reply instanceof ReplyError && DOWN.test(reply.message)) isDown = true
      else if (reply instanceof ReplyError && !reply.message.startsWith('IOERR')) throw reply
      // NOKEY: all have expired, or were deleted.
      if (String(reply) === 'OK') sent += groups[i]?.length ?? 0
    }
    return { sent, isDown }
  }
}

/** As many as go together: a large key goes alone. */
function batchSize(keys: readonly SlotKey[]): number {
  let bytes = 0
  for (const [i, key] of keys.entries()) {
    bytes += key.bytes
    if (i === BATCH.keys || (i > 0 && bytes > BATCH.bytes)) return i
  }
  return keys.length
}

/**
 * A source may have heard from the target first. If that was its last slot, it has become a replica of the target by
 * that, and takes no such orders any more.
 */
async function letGo(from: Member, settle: readonly WireCommand[], slots: readonly number[]): Promise<void> {
  try {
    await asked(from, settle)
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error
    const view = await observe(from)
    if (view === undefined || slots.some((slot) => owns(view, slot))) throw error
  }
}

/** What stands open between the two now, and at the source towards others. */
async function openSlots(from: Member, to: Member, source: NodeView, target: NodeView) {
  const [giver, taker] = await Promise.all([observe(from), observe(to)])
  const given = giver?.self.open ?? []
  const taken = taker?.self.open ?? []
  const ours = [
    ...given.filter(({ state, peer }) => state === 'migrating' && peer === target.self.id),
    ...taken.filter(({ state, peer }) => state === 'importing' && peer === source.self.id),
  ].map(({ slot }) => slot)
  // What stood open when the move was planned is what the move is to finish.
  const known = (slot: number) => source.self.open.some((one) => one.slot === slot)
  const foreign = given.filter(({ slot, state, peer }) => {
    return state === 'migrating' && peer !== target.self.id && !known(slot)
  })
  /** That neither has any more, although the one gave it to the other. */
  const isLost = (slot: number) =>
    giver !== undefined &&
    taker?.self.primary === undefined &&
    ![giver, taker].some((one) => one && owns(one, slot))
  return { ours: new Set(ours), foreign: foreign.map(({ slot }) => slot), isLost }
}

/** Opens what can be opened. What was not open before and cannot be is left as it was. */
async function open(
  from: Member,
  to: Member,
  source: NodeView,
  target: NodeView,
  slots: readonly number[],
  earlier: ReadonlySet<number>,
): Promise<{ readonly opened: readonly number[]; readonly refusal: ReplyError | undefined }> {
  const taking = await attempt(to, slots, 'IMPORTING', source.self.id)
  // Nobody is sent to the target for a slot that the source has not opened, so this can be taken back.
  const takeBack = (closed: readonly number[]) =>
    attempt(
      to,
      closed.filter((slot) => !earlier.has(slot)),
      'STABLE',
    )
  if (taking.refusal !== undefined) {
    await takeBack(taking.done)
    throw taking.refusal
  }
  const giving = await attempt(from, slots, 'MIGRATING', target.self.id)
  await takeBack(slots.filter((slot) => !giving.done.includes(slot)))
  return { opened: giving.done, refusal: giving.refusal }
}

async function attempt(at: Member, slots: readonly number[], state: string, ...peer: readonly string[]) {
  if (slots.length === 0) return { done: [], refusal: undefined }
  const replies = await at.client.pipeline(
    slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, state, ...peer] as const),
  )
  return {
    done: slots.filter((_, i) => !(replies[i] instanceof ReplyError)),
    refusal: replies.find((reply) => reply instanceof ReplyError),
  }
}
