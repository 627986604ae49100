import type { Endpoint, RedisPort } from 'slotwise/redis'

export interface Handle {
  release(): Promise<unknown>
}

/** One that extends itself. */
export interface Held extends Handle {
  /** Resolves when the holder is told that it has lost it; never, where it is not told. */
  readonly lost: Promise<unknown>
}

/** One lock library with connections of its own. */
export interface Subject {
  /** Takes it, waiting for as long as somebody else has it. */
  acquire(resource: string): Promise<Handle>
  /** Takes what nobody has and extends it until it is released, where there is such a thing. */
  hold?(resource: string): Promise<Held>
  close(): Promise<unknown>
}

/** Servers, and what measurements ask them. */
export interface Place {
  /** A cluster, or servers that know nothing of each other. */
  readonly kind: 'cluster' | 'nodes'
  readonly nodes: readonly Endpoint[]
  readonly ports: readonly RedisPort[]
  /** Fresh for each subject, so that none finds what another left. */
  readonly prefix: string
}

export interface Settings {
  readonly ttlMs: number
  /** How often a lock that extends itself does so; where it is not given, as often as the library likes. */
  readonly everyMs?: number
}

export type Open = (place: Place, settings: Settings) => Promise<Subject>

/** Whom to measure, with the commands besides those that run scripts that it sends. */
export interface Candidate {
  readonly open: Open
  readonly sends?: readonly string[]
}

export type Candidates = Readonly<Record<string, Candidate>>

/** As those who wrote them say that they are to be used, with time-outs on both sides. */
export const COMMAND_TIMEOUT_MS = 3000
/** Longer than anybody waits here. */
export const ENDLESS_MS = 120_000
