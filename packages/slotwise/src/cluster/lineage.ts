import { fields, type Member, observe } from './observe.js'

/**
 * What changes in a primary when another takes its place, and when it takes its place back. That it is the same
 * process is known by the connection, which never comes back once it is lost.
 */
export interface Lineage {
  readonly role: string | undefined
  /** The history it took over when it was last promoted; zeros where it never was, or nobody follows it any more. */
  readonly earlier: string | undefined
}

export async function lineageOf({ client }: Member): Promise<Lineage> {
  const info = fields(String(await client.call(['INFO', 'replication'])))
  return { role: info.get('role'), earlier: info.get('master_replid2') }
}

/** Whether it was a primary all the time, up to the moment at which it gave its last slot to `target` and follows it. */
export async function stayed(member: Member, before: Lineage, target: string): Promise<boolean> {
  const after = await lineageOf(member)
  if (before.role !== 'master') return false
  if (after.role !== 'master') return (await observe(member))?.self.primary === target
  return after.earlier === before.earlier || /^0*$/.test(after.earlier ?? '')
}
