import type { Endpoint } from 'slotwise/redis'

/** So many in a window of so long. */
export interface Limit {
  readonly limit: number
  readonly windowMs: number
}

/** One limiter with connections of its own. */
export interface Subject {
  /** Whether a request may take more than one. */
  readonly hasCosts: boolean
  /**
   * Whether it was admitted.
   *
   * @throws when no decision could be had
   */
  take(id: string, cost?: number): Promise<boolean>
  /** How much of each limit is left, where it can be asked. */
  left?(id: string): Promise<readonly number[]>
  /** Keys that hold the counts of an id, where they are known beforehand. */
  keysOf?(id: string): readonly string[]
  close(): Promise<unknown>
}

/** What a subject is opened with. */
export interface Place {
  readonly nodes: readonly Endpoint[]
  /** Fresh for each measurement, so that none finds what another left. */
  readonly prefix: string
  /** Where a node is reached, for measurements that stand between. */
  readonly endpointMap?: (endpoint: Endpoint) => Endpoint
}

export type Open = (place: Place, limits: readonly Limit[]) => Promise<Subject>

/** As those who wrote them say that they are to be used, with time-outs on both sides. */
export const COMMAND_TIMEOUT_MS = 3000

/** For what only takes one. */
export function only(limits: readonly Limit[]): Limit {
  const [limit, ...rest] = limits
  if (limit === undefined || rest.length > 0) throw new Error('it has exactly one limit')
  return limit
}
