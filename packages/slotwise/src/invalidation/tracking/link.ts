/**
 * What a node tells on one connection, from when it began to. Everything read after `since` from the node is known to be
 * as it was read, at `provedAt`, unless it was told of meanwhile.
 */
export class Link {
  /** `host:port` where this process reaches it. */
  readonly node: string
  /** Whoever reads later is told of what changes after. In the time of `performance.now()`. */
  readonly since: number
  /** Every change that the node made before has been told here. */
  provedAt = Number.NEGATIVE_INFINITY
  /** The same moment by the wall clock, since the other one may stand still while a machine is suspended. */
  provedAtWall = Number.NEGATIVE_INFINITY
  /** Whether it still tells. What is bound to it is known up to `provedAt`, and no further. */
  isLive = true

  constructor(node: string, since: number) {
    this.node = node
    this.since = since
  }
}
