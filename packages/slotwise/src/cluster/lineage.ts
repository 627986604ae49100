import { type Lineage, readLineage } from '../redis/lineage.js'
import { type Member, observe } from './observe.js'

/** That it is the same process is known by the connection too, which never comes back once it is lost. */
export async function lineageOf({ client }: Member): Promise<Lineage> {
  const [replication, server] = await Promise.all([
    client.call(['INFO', 'replication']),
    client.call(['INFO', 'server']),
  ])
  return readLineage(String(replication), String(server))
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
