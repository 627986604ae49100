import type { CommandCall, PortCallOptions, Reply, ScriptCall } from './port.js'
import { type Request, requestOf } from './request.js'

/** How one call is sent, and where it will go. */
export interface Ways {
  ownerOf(slot: number): string | undefined
  launch(
    request: Request,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
    now: number,
  ): void
  /** Sends to a node what waits for the end of this turn. */
  flush(address: string): void
}

/**
 * So many calls to one node are worth a write of their own: the node works on them while those to the next are being
 * made. Fewer join whatever else leaves in this turn.
 */
const OWN_WRITE = 16

/** Many calls, an error staying with its own; results in their order. */
export function pipelined(
  calls: readonly (CommandCall | ScriptCall)[],
  options: PortCallOptions | undefined,
  ways: Ways,
): Promise<readonly PromiseSettledResult<Reply>[]> {
  return new Promise((resolve) => {
    const results: PromiseSettledResult<Reply>[] = []
    results.length = calls.length
    let open = calls.length
    if (open === 0) resolve(results)
    const settle = (at: number, result: PromiseSettledResult<Reply>): void => {
      results[at] = result
      if (--open === 0) resolve(results)
    }
    const byNode = new Map<string | undefined, { readonly at: number[]; readonly requests: Request[] }>()
    for (let at = 0; at < calls.length; at++) {
      try {
        const request = requestOf(calls[at] as CommandCall | ScriptCall, options)
        const owner = request.slot === undefined ? undefined : ways.ownerOf(request.slot)
        let those = byNode.get(owner)
        if (those === undefined) byNode.set(owner, (those = { at: [], requests: [] }))
        those.at.push(at)
        those.requests.push(request)
      } catch (reason) {
        settle(at, { status: 'rejected', reason })
      }
    }
    for (const [owner, those] of byNode) {
      const now = performance.now()
      those.requests.forEach((request, i) => {
        const at = those.at[i] ?? 0
        ways.launch(
          request,
          (value) => settle(at, { status: 'fulfilled', value }),
          (reason) => settle(at, { status: 'rejected', reason }),
          now,
        )
      })
      if (owner !== undefined && those.requests.length >= OWN_WRITE) ways.flush(owner)
    }
  })
}
