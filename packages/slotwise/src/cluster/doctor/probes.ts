import type { RedisPort } from '../../redis/port.js'
import { canary } from './canary.js'
import { echo } from './echo.js'
import type { Found } from './finding.js'
import type { NodeObservation, Observed } from './observation.js'
import { ownersOf } from './observation.js'

/** What a probe is told. */
export interface ProbeBounds {
  readonly primary: NodeObservation
  /** Id of the owner of each slot. */
  readonly owners: Observed['map']['owners']
  /** On the clock of `performance.now()`. */
  readonly deadlineAt: number
  readonly signal?: AbortSignal | undefined
}

/** Does something to one primary, as a client would, and leaves nothing behind. */
export type Probe = (port: RedisPort, bounds: ProbeBounds) => Promise<readonly Found[]>

/** What `active` does to every primary that owns slots. */
const PROBES: readonly Probe[] = [canary, echo]

/** All probes at all primaries at once. */
export async function probe(
  port: RedisPort,
  seen: Observed,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<readonly Found[]> {
  const deadlineAt = performance.now() + timeoutMs
  const { owners } = seen.map
  const runs = ownersOf(seen).flatMap((primary) =>
    PROBES.map((each) => each(port, { primary, owners, deadlineAt, signal })),
  )
  return (await Promise.all(runs)).flat()
}
