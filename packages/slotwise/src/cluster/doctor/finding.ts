import { ConfigurationError } from '../../errors.js'
import { oneOf, shown } from '../../options.js'
import { FINDINGS, type FindingId } from './catalogue.js'
import type { SeverityByUsage } from './kind.js'

/** What a cluster is used for. What is a fault for one use is right for another: eviction, for locks and for a cache. */
export type Usage = 'locks' | 'sessions' | 'queue' | 'cache' | 'ratelimit' | 'channels' | 'boards'

/** `critical`: wrong answers, lost state or no service. `warning`: one more fault away from that. `info`: worth knowing. */
export type Severity = 'critical' | 'warning' | 'info'

export const USAGES = ['locks', 'sessions', 'queue', 'cache', 'ratelimit', 'channels', 'boards'] as const

/** One thing that is not as it should be. Plain data, fit for JSON. */
export interface Finding {
  /** Stable; the table of all ids is in docs/patterns/cluster.md. */
  readonly id: FindingId
  /** The highest among the usages that it affects. */
  readonly severity: Severity
  /** `host:port` of the node it is about, where commands of the fix are run; none where it is about the cluster. */
  readonly node?: string
  /** What was seen, with its figures. */
  readonly evidence: string
  /** Which of the usages asked for. */
  readonly affects: readonly Usage[]
  /** What to do. Commands of Redis stand in backquotes. */
  readonly fix: string
}

/** What a check saw, before it is known whom it matters to. */
export interface Found {
  readonly id: FindingId
  readonly node?: string | undefined
  readonly evidence: string
  readonly blanks: Readonly<Record<string, string | number>>
}

type BlanksIn<Text extends string> = Text extends `${string}<${infer Blank}>${infer Rest}`
  ? Blank | BlanksIn<Rest>
  : never

/** What the fix of a finding leaves open: `<slot>` in its text asks for `slot` here. */
type Blanks<Id extends FindingId> = Readonly<Record<BlanksIn<(typeof FINDINGS)[Id]['fix']>, string | number>>

/** One finding; `node` is where its fix is to be run. */
export function found<Id extends FindingId>(
  id: Id,
  node: string | undefined,
  evidence: string,
  ...[blanks]: BlanksIn<(typeof FINDINGS)[Id]['fix']> extends never ? [] : [blanks: Blanks<Id>]
): Found {
  return { id, node, evidence, blanks: blanks ?? {} }
}

/** How much a finding matters to one usage. */
function severityFor(id: FindingId, usage: Usage): Severity | 'none' {
  const { severity }: { readonly severity: Severity | SeverityByUsage } = FINDINGS[id]
  return typeof severity === 'string' ? severity : (severity[usage] ?? severity.others ?? 'none')
}

const RANK = ['info', 'warning', 'critical'] as const

/** What was found, as it matters to these usages, the worst first; what matters to none of them is left out. */
export function judged(all: readonly Found[], usage: readonly Usage[]): readonly Finding[] {
  return all
    .flatMap(({ id, node, evidence, blanks }): Finding[] => {
      const affects = usage.filter((one) => severityFor(id, one) !== 'none')
      const severity = RANK.findLast((rank) => affects.some((one) => severityFor(id, one) === rank))
      if (severity === undefined) return []
      const template: string = FINDINGS[id].fix
      const fix = template.replaceAll(/<(\w+)>/g, (blank, name: string) => String(blanks[name] ?? blank))
      return [{ id, severity, ...(node === undefined ? {} : { node }), evidence, affects, fix }]
    })
    .toSorted((a, b) => RANK.indexOf(b.severity) - RANK.indexOf(a.severity))
}

/** @throws ConfigurationError for a word that is no usage */
export function checkedUsage(usage: readonly Usage[] | undefined): readonly Usage[] {
  if (usage === undefined) return USAGES
  if (!Array.isArray(usage) || usage.length === 0) {
    throw new ConfigurationError(`usage must name at least one of ${USAGES.join(', ')}, got ${shown(usage)}`)
  }
  for (const one of usage) oneOf('usage', one, USAGES)
  return USAGES.filter((one) => usage.includes(one))
}
