import { setTimeout as pause } from 'node:timers/promises'
import { UnhealthyClusterError } from '../errors.js'
import { fields, type Member, observe } from './observe.js'

/**
 * Waits until a target that takes a slot from a source outbids it. Whose claim of a slot counts is decided by its
 * configuration epoch, and a target takes the next one after the highest that it has heard of. If that is not above
 * the source's, one late packet of the source, from before it let the slot go, takes it from the target again: then
 * each believes it to be the other's, and nobody serves it, for good.
 *
 * Epochs spread within a second or so; a source has one that others may not know only if it took slots just before.
 * Two nodes that took the same one by chance settle that as soon as they hear of each other, by one of them taking a
 * higher one, which must not happen to a source while it gives.
 *
 * @throws UnhealthyClusterError it does not, in time
 */
export async function outbids(
  target: Member,
  source: Member,
  others: readonly Member[],
  {
    timeoutMs = 30_000,
    signal,
  }: { readonly timeoutMs?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    signal?.throwIfAborted()
    const [giver, taker, ...rest] = await Promise.all([
      epochsOf(source),
      epochsOf(target),
      ...others.map(observe),
    ])
    const isShared =
      taker.own === giver.own ||
      rest.some((view) => view?.self.primary === undefined && view?.self.epoch === giver.own)
    if (taker.heard >= giver.own && !isShared) return
    if (performance.now() > deadline) {
      throw new UnhealthyClusterError(
        `${target.client.node} has not heard of what ${source.client.node} has decided: can they reach each other's bus port?`,
      )
    }
    await pause(20)
  }
}

/** Its own, or that of the primary it follows by now, and the highest that it has heard of. */
async function epochsOf({ client }: Member): Promise<{ readonly own: number; readonly heard: number }> {
  const info = fields(String(await client.call(['CLUSTER', 'INFO'])))
  return {
    own: Number(info.get('cluster_my_epoch') ?? Infinity),
    heard: Number(info.get('cluster_current_epoch') ?? 0),
  }
}
