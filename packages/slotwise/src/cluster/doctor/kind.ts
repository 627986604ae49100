import type { Severity, Usage } from './finding.js'

/** What a finding means, and what to do about it. */
export interface Kind {
  /** For all usages, or by usage; `none` where it does not matter, `others` for those not named. */
  readonly severity: Severity | SeverityByUsage
  readonly means: string
  /**
   * What to do, as a sentence. Commands in backquotes are run at the finding's node; a blank such as `<slot>`, in
   * backquotes only, is filled in by what was seen.
   */
  readonly fix: string
}

export type SeverityByUsage = Partial<Readonly<Record<Usage | 'others', Severity | 'none'>>>

/** Whoever sends on channels cannot do without; whoever is only woken by them is late, and goes on. */
export const LOST_CHANNELS = {
  channels: 'critical',
  cache: 'warning',
  sessions: 'warning',
  boards: 'warning',
} as const

/** Whoever keeps state cannot do without; a cache goes to its loader. */
export const LOST_SERVICE = { others: 'critical', cache: 'warning' } as const
