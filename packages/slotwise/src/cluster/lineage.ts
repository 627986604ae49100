import { fields, type Member, observe } from './observe.js'

/**
 * What changes in a primary when another takes its place, and when it takes its place back. That it is the same
 * process is known by the connection, which never comes back once it is lost.
 */
export interface Lineage {
  readonly role: string | undefined
  /** The history it took over when it was last promoted; zeros where it never was, or nobody follows it any more. */
  readonly earlier: string | undefined
  /** Where the earlier history ended. */
  readonly earlierUntil: string | undefined
  /** The history that it writes, or follows. */
  readonly reign: string | undefined
  /** Of its process. */
  readonly run: string | undefined
}

export async function lineageOf({ client }: Member): Promise<Lineage> {
  const [replication, server] = await Promise.all([
    client.call(['INFO', 'replication']),
    client.call(['INFO', 'server']),
  ])
  const info = fields(String(replication))
  return {
    role: info.get('role'),
    earlier: info.get('master_replid2'),
    earlierUntil: info.get('second_repl_offset'),
    reign: info.get('master_replid'),
    run: fields(String(server)).get('run_id'),
  }
}

/** What `afterLosslessMove` is told of a node besides its place: as what it had the slots. */
export function historyOf({ reign, run, earlier }: Lineage): {
  readonly reign?: string
  readonly run?: string
} {
  if (reign === undefined) return {}
  // Whoever never followed another may have given its history another name meanwhile.
  return run === undefined || !/^0+$/.test(earlier ?? '') ? { reign } : { reign, run }
}

/**
 * Whether the history of `before` was handed over whole: the new one begins where the old one ended, by both. One that had gone
 * on, unheard, could not follow from there, and forgets its own.
 */
export function isHandedOver(before: Lineage, from: Lineage, to: Lineage): boolean {
  return (
    before.role === 'master' &&
    before.reign !== undefined &&
    from.run === before.run &&
    from.reign === to.reign &&
    from.earlier === before.reign &&
    to.earlier === before.reign &&
    from.earlierUntil === to.earlierUntil
  )
}

/** Whether it was a primary all the time, up to the moment at which it gave its last slot to `target` and follows it. */
export async function stayed(member: Member, before: Lineage, target: string): Promise<boolean> {
  const after = await lineageOf(member)
  if (before.role !== 'master') return false
  if (after.role !== 'master') return (await observe(member))?.self.primary === target
  return after.earlier === before.earlier || /^0*$/.test(after.earlier ?? '')
}
