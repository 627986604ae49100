import {
  LockUnavailableError,
  type NodeRefusal,
  RedisUnavailableError,
  UnexpectedReplyError,
} from '../errors.js'
import { type Key, readKey } from '../keys.js'
import type { CallOptions } from '../options.js'
import type { RedisPort } from '../redis/port.js'
import { slotOf } from '../slots.js'
import { publish } from '../telemetry.js'
import type { Answer, Ask, Authority, Busy, Verdict } from './authority.js'
import { type Clocks, pause } from './deadline.js'
import { checkEpoch, epochOf } from './epoch.js'
import { LOOK_MS } from './looks.js'
import { Markers } from './markers.js'
import type { OneSlotOptions } from './one-slot.js'
import * as scripts from './scripts.js'
import { ServerClock } from './server-clock.js'
import { freeAfter, tally } from './tally.js'
import { type Voter, Voters } from './voters.js'

/** Settings of {@link Quorum}. */
export interface QuorumOptions extends OneSlotOptions {
  /** How long a node has for its answer; `undefined` for what suits the lock. */
  readonly nodeTimeoutMs: number | undefined
}

/** How long a node has: far less than the lock lasts, so that one that hangs costs little of it. */
const ANSWER_MS = { most: 50, enough: 10 }
/** Who was turned away asks again within so long, at any time of it: those who met do not meet again. */
const JITTER_MS = { least: 50, most: 200 }

/** What a node said to a request, or why it said nothing. */
type Vote =
  | { readonly kind: 'held'; readonly token: bigint; readonly remainingMs: number }
  | {
      readonly kind: NodeRefusal['reason']
      /** For so long it says the same; 0 where that is not known. */
      readonly remainingMs: number
      readonly holder: string
      readonly cause: unknown
    }

type Refused = Exclude<Vote, { kind: 'held' }>
interface Counted<V = Vote> {
  readonly node: number
  readonly vote: V
}

/** A request while some have not answered it. */
interface Attempt {
  readonly ask: Ask
  /** Of the nodes that have. */
  readonly answers: (Vote | undefined)[]
  /** It has failed, or what it got is given back: who grants it from here on is told to free it. */
  isOver: boolean
  /** Of each node whose release is under way: whether that frees what has been granted by now. */
  freed: readonly (() => Promise<boolean>)[]
}

/**
 * Locks that a majority of independent nodes gives (Redlock). Any two majorities meet in a node, which has the one lock or the
 * other, and which tells the later holder a token above that of the earlier one.
 */
export class Quorum implements Authority {
  readonly #voters: Voters
  readonly #markers: Markers
  readonly #clocks: Clocks
  readonly #options: QuorumOptions
  /** Those that are not answered by all, by owner. */
  readonly #attempts = new Map<string, Attempt>()
  /** The largest token there was. */
  #seen = 0

  /** @throws ConfigurationError too few nodes, one twice, or of different namespaces */
  constructor(ports: readonly RedisPort[], clocks: Clocks, options: QuorumOptions) {
    this.#voters = new Voters(ports, clocks, options)
    this.#markers = new Markers(ports[0]?.namespace ?? '')
    this.#clocks = clocks
    this.#options = options
  }

  ready(call: CallOptions = {}): Promise<void> {
    return this.#voters.ready(call)
  }

  async acquire(ask: Ask, { signal, deadlineMs = ask.ttlMs }: CallOptions): Promise<Answer> {
    const attempt: Attempt = { ask, answers: [], isOver: false, freed: [] }
    const answers = this.#askAll(attempt, deadlineMs)
    const votes = this.#inTime<Vote>(answers, ask, LATE)
    const counted: Counted[] = []
    const isGranted = await this.#decided(
      votes.map(async (given, node) => {
        const vote = await given
        counted.push({ node, vote })
        return vote.kind === 'held'
      }),
      signal,
    )
    const granted = counted.flatMap(({ vote }) => (vote.kind === 'held' ? [vote] : []))
    const token = granted.reduce((largest, one) => (one.token > largest ? one.token : largest), 0n)
    this.#seen = Math.max(this.#seen, Number(token))
    const isOneRound =
      !isGranted || granted.filter((one) => one.token === token).length >= this.#voters.quorum
    const isAgreed = isGranted && (await this.#agree(attempt, answers, token, { isOneRound, signal }))
    // Who hangs is to be seen, though it be decided without it.
    void Promise.all(votes).then((all) => this.#tell(all, isOneRound ? 1 : 2))
    if (isAgreed) {
      const longestFirst = granted.map(({ remainingMs }) => remainingMs).toSorted((a, b) => b - a)
      return { kind: 'held', token, remainingMs: longestFirst[this.#voters.quorum - 1] ?? 0 }
    }
    this.#giveBack(attempt)
    signal?.throwIfAborted()
    const refused = counted.flatMap(({ node, vote }) => (vote.kind === 'held' ? [] : [{ node, vote }]))
    return this.#refusal(ask.key, refused, isGranted)
  }

  #askAll(attempt: Attempt, deadlineMs: number): readonly Promise<Vote>[] {
    const { ask, answers } = attempt
    const least = Math.max(Math.floor(this.#clocks.wallMs() * 1000), this.#seen + 1)
    const asked = this.#voters.all.map((voter) => this.#ask(voter, ask, least, deadlineMs))
    this.#attempts.set(ask.owner, attempt)
    const heard = asked.map(async (answer, i) => {
      answers[i] = await answer
      // Granted when nobody wanted it any more.
      if (attempt.isOver && !(await attempt.freed[i]?.())) this.#undo(i, ask, answers[i])
    })
    void Promise.all(heard).then(() => this.#attempts.delete(ask.owner))
    return asked
  }

  /** Never rejects. */
  async #ask(voter: Voter, ask: Ask, least: number, deadlineMs: number): Promise<Vote> {
    const { key, owner, ttlMs, holder } = ask
    const { port } = voter
    const breaker = port.breaker(key)
    // It tries to reach it by itself.
    if (breaker.state === 'open') return unreachable(new RedisUnavailableError(breaker.reason))
    try {
      if (voter.identity === undefined && !(await this.#voters.lookAt(voter)))
        return unreachable(new RedisUnavailableError('it did not say yet which server it is'))
      voter.debts.settle(key)
      const { quarantine } = this.#options
      const clock = new ServerClock(port, this.#clocks)
      const slot = slotOf(key)
      const primary = port.topology().ownerOf(slot)?.id ?? ''
      const epoch = epochOf(port, slot)
      const request = () => {
        const heard = voter.reigns.get(primary)
        return scripts.acquire.run(
          port,
          { lock: key, marker: this.#markerOf(key) },
          {
            owner,
            ttl_ms: ttlMs,
            longest_ms: quarantine ? this.#voters.longestMs : 0,
            least,
            wait_ms: 0,
            label: holder,
            looked: heard?.reign ?? '',
            looked_ms: heard?.atMs ?? 0,
            epoch,
            // Each node has all slots, so nobody else keeps which of them had locks there.
            first: '-',
          },
          { deadlineMs },
        )
      }
      let answer = await request()
      if (answer.kind === 'unseen') {
        await this.#voters.hear([{ voter, reigns: new Map([[primary, answer]]) }])
        answer = await request()
      }
      if (answer.kind === 'unseen')
        return unreachable(new RedisUnavailableError('too few say for how long locks may be held'))
      if (answer.kind === 'done' || answer.kind === 'conflict' || answer.kind === 'unknown')
        throw new UnexpectedReplyError('a request for a lock was answered with something else')
      if (answer.kind !== 'held') return { holder: '', cause: undefined, ...answer }
      if (quarantine) checkEpoch(port, slot, epoch)
      // It would give tokens, and end locks, at a time of its own.
      const cause = quarantine ? clock.wrong(answer.nowMs, this.#voters.longestMs) : undefined
      return cause === undefined ? answer : { kind: 'clock', remainingMs: 0, holder: '', cause }
    } catch (cause) {
      return unreachable(cause)
    }
  }

  #markerOf(key: Key): Key {
    return this.#options.quarantine ? this.#markers.of(slotOf(key)) : key
  }

  /** The answers, or `late` of nodes that have had their time. */
  #inTime<R>(answers: readonly Promise<R>[], { ttlMs }: Ask, late: R): readonly Promise<R>[] {
    const { nodeTimeoutMs } = this.#options
    const ms =
      nodeTimeoutMs ?? Math.min(ANSWER_MS.most, Math.max(ttlMs / 20, Math.min(ANSWER_MS.enough, ttlMs / 3)))
    const ends: ((one: R) => void)[] = []
    // One timer for all: to set and to clear one costs more than to count a vote.
    const cancel = this.#clocks.after(Math.ceil(ms), () => {
      // Where this process stood still the answers lie in the sockets, and are looked at first.
      setImmediate(() => {
        for (const end of ends) end(late)
      })
    })
    let left = answers.length
    return answers.map(
      (answer) =>
        new Promise((resolve) => {
          ends.push(resolve)
          void answer.then((one) => {
            if (--left === 0) cancel()
            resolve(one)
          })
        }),
    )
  }

  /** Whether a majority says yes; `false` as soon as the caller has given up. */
  async #decided(votes: readonly Promise<boolean>[], signal: AbortSignal | undefined): Promise<boolean> {
    const decided = tally(votes, this.#voters.quorum)
    if (signal === undefined) return await decided
    let stop = () => {}
    const given = new Promise<false>((resolve) => {
      stop = () => resolve(false)
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
    })
    return await Promise.race([decided, given]).finally(() => signal.removeEventListener('abort', stop))
  }

  /**
   * Whether a majority has this token or a larger one: who meets it gets a larger one. Those that gave a smaller one are told,
   * also those whose answer comes late; after one round the majority has it, and nobody waits for them.
   */
  async #agree(
    attempt: Attempt,
    answers: readonly Promise<Vote>[],
    token: bigint,
    { isOneRound, signal }: { readonly isOneRound: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<boolean> {
    const { key, owner } = attempt.ask
    const raised = this.#voters.all.map(async ({ port }, i) => {
      const vote = attempt.answers[i] ?? (await answers[i])
      if (attempt.isOver || vote?.kind !== 'held') return false
      if (vote.token >= token) return true
      const keys = { lock: key, marker: this.#markerOf(key) }
      try {
        return (await scripts.ratchet.run(port, keys, { owner, token }, { deadlineMs: LOOK_MS })) === 'done'
      } catch {
        return false
      }
    })
    return isOneRound || (await this.#decided(this.#inTime(raised, attempt.ask, false), signal))
  }

  /** Frees it wherever it may be held; of nodes that have not answered yet once more when they have. */
  #giveBack(attempt: Attempt): void {
    attempt.isOver = true
    for (const { index } of this.#voters.all) this.#undo(index, attempt.ask, attempt.answers[index])
  }

  #undo(node: number, { key, owner, ttlMs }: Ask, vote: Vote | undefined): void {
    const isNotTheirs = vote?.kind === 'busy' || vote?.kind === 'quarantined'
    if (isNotTheirs || (vote?.kind === 'unreachable' && vote.cause instanceof RedisUnavailableError)) return
    void this.#free(node, key, owner, ttlMs, vote?.kind === 'unreachable')
  }

  /** Never rejects. */
  async #free(node: number, key: Key, owner: string, forMs: number, isUnsure: boolean): Promise<void> {
    const { port, debts } = this.#voters.all[node] as Voter
    const freed = scripts.release.run(port, { lock: key }, { owner }, { deadlineMs: LOOK_MS })
    const verdict = await freed.catch(() => undefined)
    if (verdict === undefined || (isUnsure && verdict === 'not-ours'))
      debts.add(key, owner, forMs, { isUnsure })
  }

  #refusal(key: Key, refused: readonly Counted<Refused>[], isGranted: boolean): Answer {
    const spared = this.#voters.all.length - this.#voters.quorum
    const saying = (kind: Refused['kind']) =>
      refused.flatMap(({ vote }) => (vote.kind === kind ? [vote] : []))
    const [busy, quarantined] = [saying('busy'), saying('quarantined')]
    const away = refused.length - busy.length - quarantined.length
    if (isGranted || away > spared)
      throw new LockUnavailableError(named(key), {
        cause: refused.find(({ vote }) => vote.cause !== undefined)?.vote.cause,
        nodes: refused.map(({ node, vote }) => this.#refusalOf(node, key, vote.kind, vote.cause)),
      })
    const remainingMs = (blocked: readonly Refused[], others: number) =>
      freeAfter(
        blocked.map((one) => one.remainingMs),
        spared - others,
      )
    if (away + quarantined.length > spared)
      return { kind: 'quarantined', remainingMs: remainingMs(quarantined, away) }
    return {
      kind: 'busy',
      remainingMs: remainingMs(busy, away + quarantined.length),
      place: 0,
      holder: busy.find(({ holder }) => holder !== '')?.holder ?? '',
    }
  }

  #refusalOf(node: number, key: Key, reason: NodeRefusal['reason'], cause: unknown): NodeRefusal {
    const owner = this.#voters.all[node]?.port.topology().ownerOf(slotOf(key))
    const name = owner === undefined ? `node ${node}` : `${owner.host}:${owner.port}`
    return { node: name, reason, ...(cause === undefined ? {} : { cause }) }
  }

  #tell(votes: readonly Vote[], rounds: 1 | 2): void {
    publish('slotwise:lock:votes', () => ({
      name: this.#options.name,
      votes: votes.map(({ kind }, node) => ({ node, vote: kind === 'held' ? 'granted' : kind })),
      rounds,
    }))
  }

  async extend(
    key: Key,
    owner: string,
    ttlMs: number,
    { signal, deadlineMs = ttlMs }: CallOptions,
  ): Promise<Verdict> {
    const args = { owner, ttl_ms: ttlMs, longest_ms: this.#voters.longestMs }
    const said = this.#voters.all.map(({ port }) =>
      scripts.extend.run(port, { lock: key }, args, { deadlineMs }),
    )
    const verdict = await this.#verdict(key, said, signal)
    // A minority may have been extended.
    if (verdict !== 'done')
      for (const { index } of this.#voters.all) void this.#free(index, key, owner, ttlMs, false)
    return verdict
  }

  release(key: Key, owner: string, deadlineMs: number): Promise<Verdict> {
    const attempt = this.#attempts.get(owner)
    const said = this.#voters.all.map(async ({ port, debts }) => {
      try {
        return await scripts.release.run(port, { lock: key }, { owner }, { deadlineMs })
      } catch (error) {
        debts.add(key, owner, this.#options.maxTtlMs)
        throw error
      }
    })
    if (attempt !== undefined) {
      attempt.isOver = true
      attempt.freed = said.map((one) => freedBy(one))
    }
    return this.#verdict(key, said)
  }

  /** What a majority says. @throws LockUnavailableError those that answered are too few to say */
  async #verdict(key: Key, said: readonly Promise<Verdict>[], signal?: AbortSignal): Promise<Verdict> {
    const refused: NodeRefusal[] = []
    const lost: Verdict[] = []
    const votes = said.map(async (one, node) => {
      try {
        const verdict = await one
        if (verdict !== 'done') lost.push(verdict)
        return verdict === 'done'
      } catch (cause) {
        refused.push(this.#refusalOf(node, key, 'unreachable', cause))
        return false
      }
    })
    if (await this.#decided(votes, signal)) return 'done'
    signal?.throwIfAborted()
    if (lost.length <= this.#voters.all.length - this.#voters.quorum)
      throw new LockUnavailableError(named(key), { cause: refused[0]?.cause, nodes: refused })
    return lost.includes('not-ours') ? 'not-ours' : 'over'
  }

  async turn(_: Ask, { remainingMs, leftMs, signal }: Busy): Promise<void> {
    const mostMs = Math.min(JITTER_MS.most, Math.max(remainingMs, JITTER_MS.least))
    await pause(this.#clocks, Math.min(Math.random() * mostMs, leftMs), signal)
  }

  /** What is still to be freed is freed. */
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/**
 * What is granted before the release is answered was granted before it on the same connection, and freed by it; what is granted later
 * may be granted anew. A request that is sent again over another connection may come between the two: what it got ends by itself.
 */
function freedBy(release: Promise<Verdict>): () => Promise<boolean> {
  let isAnswered = false
  const isDone = release.then(
    (verdict) => {
      isAnswered = true
      return verdict === 'done'
    },
    () => false,
  )
  return () => (isAnswered ? Promise.resolve(false) : isDone)
}

const LATE: Refused = { kind: 'late', remainingMs: 0, holder: '', cause: undefined }

const unreachable = (cause: unknown): Refused => ({ kind: 'unreachable', remainingMs: 0, holder: '', cause })

/** A resource as a message names it. */
function named(key: Key): string {
  const read = readKey(key)
  return read?.id.hashed === false ? read.id.words.join(':') : key
}
