/**
 * One class for each failure a caller can act on. Refusals are values, never errors: see the result types
 * of each pattern. `code` never changes once published; messages may.
 */

/** What every error of this package is. Branch on `code`, which is stable, or on the class. */
export abstract class SlotwiseError extends Error {
  /** Stable, e.g. `'CROSS_SLOT'`. The table of all codes is docs/errors.md. */
  abstract readonly code: string

  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
  }
}

/** A setting is wrong or contradicts what a server says. Nothing was executed. Mend the setting named. */
export class ConfigurationError extends SlotwiseError {
  readonly code = 'CONFIGURATION'
}

/** The keys of one call live in different slots, so no server can run it. Found before anything is sent. */
export class CrossSlotError extends SlotwiseError {
  readonly code = 'CROSS_SLOT'
  /** Each key with the slot it hashes to. */
  readonly keys: readonly { readonly key: string; readonly slot: number }[]

  constructor(keys: readonly { readonly key: string; readonly slot: number }[]) {
    super(`keys of one call must share a slot: ${keys.map(({ key, slot }) => `${key} → ${slot}`).join(', ')}`)
    this.keys = keys
  }
}

/**
 * No server took the call before its deadline: the owner of the slot is unreachable, hung or not yet
 * elected. **It was not executed.** Safe to repeat later.
 */
export class RedisUnavailableError extends SlotwiseError {
  readonly code = 'REDIS_UNAVAILABLE'
  /** `host:port` of the node that was asked last, if one was known. */
  readonly node: string | undefined

  constructor(
    message: string,
    options: { readonly node?: string | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, options)
    this.node = options.node
  }
}

/**
 * The call was sent, and the connection broke or the deadline passed before the answer. **It may have been
 * executed or not**, and repeating it is not harmless, so it was not repeated. Read the state to find out.
 */
export class OutcomeUnknownError extends SlotwiseError {
  readonly code = 'OUTCOME_UNKNOWN'
  /** `host:port` of the node that did not answer. */
  readonly node: string

  constructor(message: string, options: { readonly node: string; readonly cause?: unknown }) {
    super(message, options)
    this.node = options.node
  }
}

/** A call over several keys met a slot that is half moved to another node. Not executed; repeat when the move ends. */
export class SlotMovingError extends SlotwiseError {
  readonly code = 'SLOT_MOVING'
  readonly slot: number

  constructor(slot: number, options?: { readonly cause?: unknown }) {
    super(`slot ${slot} is being moved, and this call needs several of its keys at once`, options)
    this.slot = slot
  }
}

/** The server refused the command: wrong type of key, out of memory, no permission. `message` holds its words. */
export class ReplyError extends SlotwiseError {
  readonly code = 'REPLY'
  /** The server's error code: the first word of its reply, such as `WRONGTYPE`, `OOM` or `NOPERM`. */
  readonly replyCode: string

  constructor(reply: string, options?: { readonly cause?: unknown }) {
    super(reply, options)
    this.replyCode = /^[A-Z]+/.exec(reply)?.[0] ?? 'ERR'
  }
}

/** A server answered with something the command never answers with: not Redis, a proxy, or foreign data at our key. */
export class UnexpectedReplyError extends SlotwiseError {
  readonly code = 'UNEXPECTED_REPLY'
}

/** The port, or the object that was called, has been closed. */
export class ClosedError extends SlotwiseError {
  readonly code = 'CLOSED'
}

/**
 * The change is done, but Redis could not be told, so readers may still see the older value. The invalidation
 * goes on being tried until it succeeds or the cache is closed.
 */
export class InvalidationPendingError extends SlotwiseError {
  readonly code = 'INVALIDATION_PENDING'
  /** Resolves with whether the invalidation reached Redis in the end; never rejects. */
  readonly settled: Promise<boolean>
  /** What the write returned, if it was a `writeThrough`: the database has taken it. */
  readonly written: unknown

  constructor(
    message: string,
    options: { readonly settled: Promise<boolean>; readonly written?: unknown; readonly cause?: unknown },
  ) {
    super(message, options)
    this.settled = options.settled
    this.written = options.written
  }
}

/**
 * A loader returned what a cache cannot hold: `undefined`, a circular structure, a `bigint`. Nothing was stored.
 * Return `null` for "not found", and plain data else.
 */
export class UncacheableValueError extends SlotwiseError {
  readonly code = 'UNCACHEABLE_VALUE'
}

/** A loader took longer than the `hardTimeoutMs` of a read, and there is no older value to serve. The load goes on, and is stored when it ends. */
export class LoadTimeoutError extends SlotwiseError {
  readonly code = 'LOAD_TIMEOUT'
}

/** As many loads are running as the origin is allowed, and none ended in time. The loader was not called. */
export class OriginBusyError extends SlotwiseError {
  readonly code = 'ORIGIN_BUSY'
}

/** Another process has taken the partition over, or has written behind it: nothing of the batch was written. */
export class BatchFencedError extends SlotwiseError {
  readonly code = 'BATCH_FENCED'
}

/** A database has not written a batch in time. Whether it does later, nobody knows; it is tried again. */
export class BatchTimeoutError extends SlotwiseError {
  readonly code = 'BATCH_TIMEOUT'
}

/** Somebody else holds the lock. */
export class LockBusyError extends SlotwiseError {
  readonly code = 'LOCK_BUSY'
  readonly resource: string
  /** How long the present holder's time still lasts, unless it is extended or released. */
  readonly retryAfterMs: number
  /** What the holder says of itself; `undefined` if nothing. */
  readonly holder: string | undefined

  constructor(resource: string, retryAfterMs: number, holder?: string) {
    const by = holder === undefined ? '' : ` by ${holder}`
    super(`${resource} is locked${by} for another ${retryAfterMs} ms at most, unless its holder extends it`)
    this.resource = resource
    this.retryAfterMs = retryAfterMs
    this.holder = holder
  }
}

/** What a server said, or failed to, that a majority was not reached for. */
export interface NodeRefusal {
  /** `host:port` of one of its servers, or which of the ports it is. */
  readonly node: string
  /** `'late'`: no answer in its time. `'clock'`: its clock is too far from the one here for its tokens and times to count. */
  readonly reason: 'unreachable' | 'quarantined' | 'busy' | 'late' | 'clock'
  readonly cause?: unknown
}

/**
 * Redis could not say whether the lock is free, may have forgotten who holds it, or has a clock that is too far from the one here.
 * Nobody knows that you hold it: do not enter.
 */
export class LockUnavailableError extends SlotwiseError {
  readonly code = 'LOCK_UNAVAILABLE'
  readonly resource: string
  /** How long the server still gives no locks, since it may have forgotten some; `undefined` where that is not the reason. */
  readonly retryAfterMs: number | undefined
  /** Who did not grant it, where several are asked. */
  readonly nodes: readonly NodeRefusal[]

  constructor(
    resource: string,
    {
      cause,
      retryAfterMs,
      nodes = [],
    }: {
      readonly cause?: unknown
      readonly retryAfterMs?: number | undefined
      readonly nodes?: readonly NodeRefusal[] | undefined
    } = {},
  ) {
    const each = nodes.map(({ node, reason }) => `, ${node} ${reason}`).join('')
    const why =
      retryAfterMs === undefined
        ? `${cause instanceof ConfigurationError ? cause.message : 'Redis does not answer'}${each}`
        : `its server was started or promoted, or its slot moved, not long ago and may have forgotten locks; it gives them again in ${retryAfterMs} ms${each}`
    super(`cannot decide who holds ${resource}: ${why}`, cause === undefined ? {} : { cause })
    this.resource = resource
    this.retryAfterMs = retryAfterMs
    this.nodes = nodes
  }
}

/** The lock is no longer held: its time is over, or somebody took it away. Stop; fenced writes are refused. */
export class LockLostError extends SlotwiseError {
  readonly code = 'LOCK_LOST'
  readonly resource: string
  readonly reason: 'expired' | 'taken' | 'released'

  constructor(resource: string, reason: 'expired' | 'taken' | 'released') {
    super(`the lock on ${resource} is not held any more: ${reason}`)
    this.resource = resource
    this.reason = reason
  }
}

/**
 * What came of a function that is to be run once cannot be stored: `undefined`, a circular structure, or more than the limit. The
 * function has run, and the next to ask runs it again. Return `null` for "nothing", and plain data else.
 */
export class UnstorableResultError extends SlotwiseError {
  readonly code = 'UNSTORABLE_RESULT'
}

/** A newer holder of the lock has written already: nothing was written. Stop, for you do not hold it any more. */
export class StaleTokenError extends SlotwiseError {
  readonly code = 'STALE_TOKEN'
  /** The key of the lock. */
  readonly resource: string
  readonly token: bigint
  /** The largest token that the resource has seen. */
  readonly seen: bigint

  constructor(resource: string, token: bigint, seen: bigint) {
    super(`a newer holder of ${resource} has written already: token ${token} is below ${seen}`)
    this.resource = resource
    this.token = token
    this.seen = seen
  }
}

/** No usable redis-server is on this machine and none could be fetched. The message says what to do on this system. */
export class ServerNotFoundError extends SlotwiseError {
  readonly code = 'SERVER_NOT_FOUND'
}

/** A server that we started did not come up, or a stranger answered on its port. `log` holds its last words. */
export class LocalServerError extends SlotwiseError {
  readonly code = 'LOCAL_SERVER'
  readonly log: string

  constructor(message: string, options: { readonly log: string; readonly cause?: unknown }) {
    super(message, options)
    this.log = options.log
  }
}

/** The nodes given are, in part, another cluster or hold data. Nothing was changed. */
export class ForeignClusterError extends SlotwiseError {
  readonly code = 'FOREIGN_CLUSTER'
  /** `host:port` of the node that does not belong. */
  readonly node: string

  constructor(message: string, options: { readonly node: string }) {
    super(message)
    this.node = options.node
  }
}

/** An operation on a cluster was refused, or stopped, because its nodes do not agree or cannot be reached. Run it again when they do. */
export class UnhealthyClusterError extends SlotwiseError {
  readonly code = 'UNHEALTHY_CLUSTER'
}

/**
 * The request is well formed, and the cluster as it is now does not allow it: too few primaries would be left, no replica
 * is there to take over, a node has another role already. Nothing of it was done. The message says what is missing.
 */
export class ImpossibleChangeError extends SlotwiseError {
  readonly code = 'IMPOSSIBLE_CHANGE'
}

/**
 * A key is too large to be moved without stopping its server for long. Its slot was not touched, unless `halfMoved`.
 * Raise `maxKeyBytes` to move it all the same.
 */
export class KeyTooLargeError extends SlotwiseError {
  readonly code = 'KEY_TOO_LARGE'
  readonly key: string
  readonly bytes: number
  readonly slot: number
  /** `host:port` of the node that holds it. */
  readonly node: string

  /**
   * The slot is open: the key was not there, or not as large, when the slot was looked through, or the slot holds too
   * many keys to be looked through before. Its keys are served at both ends; other operations refuse to begin.
   */
  readonly halfMoved: boolean

  constructor(
    key: string,
    bytes: number,
    at: { readonly slot: number; readonly node: string; readonly halfMoved: boolean },
  ) {
    super(
      `the key ${JSON.stringify(key)} in slot ${at.slot} at ${at.node} takes ${bytes} bytes: moving it would stop the server for about ${Math.ceil(bytes / 1e8)} s`,
    )
    this.key = key
    this.bytes = bytes
    this.slot = at.slot
    this.node = at.node
    this.halfMoved = at.halfMoved
  }
}

/**
 * Servers were to move slots by themselves and did not: somebody cancelled it, or it failed several times and
 * `method: 'atomic'` allows no other way. The slots are where they were. `reason` holds the server's words.
 */
export class SlotMigrationError extends SlotwiseError {
  readonly code = 'SLOT_MIGRATION'
  readonly reason: string
  /** Such as `0-100 200-200`. */
  readonly slots: string
  /** `host:port` of the node that has them still. */
  readonly from: string
  /** `host:port` of the node that was to have them. */
  readonly to: string

  constructor(reason: string, at: { readonly slots: string; readonly from: string; readonly to: string }) {
    super(`slots ${at.slots} were not migrated from ${at.from} to ${at.to}: ${reason}`)
    this.reason = reason
    this.slots = at.slots
    this.from = at.from
    this.to = at.to
  }
}
