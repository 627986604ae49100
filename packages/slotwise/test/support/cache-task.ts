/** What a process is told at its start. */
export interface Task {
  readonly nodes: readonly string[]
  readonly file: string
  readonly rows: number
  /** It writes each row that is its own modulo the number of processes. */
  readonly own: number
  readonly processes: number
  /** Whose caching it is: ours, or that of the article, which is to be caught. */
  readonly version: 'ours' | 'article'
}

/** A read that got less than had been promised before it began. */
export interface Less {
  readonly row: number
  readonly seen: number
  readonly floor: number
  readonly promisedAt: number
  readonly from: number
  readonly to: number
  readonly how: string
}

/** What a process has done so far. */
export interface Tally {
  reads: number
  /** Begun within 10 ms after something was promised of that very row. */
  soon: number
  duringFaults: number
  changes: number
  /** Changes that Redis could only be told of later. */
  pending: number
  failures: number
  readonly hows: Record<string, number>
  readonly less: Less[]
}

/** Names of the entries, which the parent needs for their slots. */
export const SOAK = { namespace: 'soak', name: 'rows' }
