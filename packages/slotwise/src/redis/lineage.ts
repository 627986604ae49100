/**
 * What changes in a server when it is started, takes another's place or gives its own up. A reign is what replication calls a
 * history of writes: each start and each promotion of a primary begins another.
 *
 * @see {@link https://redis.io/docs/latest/operate/oss_and_stack/management/replication/}
 */
export interface Lineage {
  readonly role: string | undefined
  /** The one that it writes, or follows. */
  readonly reign: string | undefined
  /** The one that it took over when it was last promoted; zeros where it never was, or nobody follows it any more. */
  readonly earlier: string | undefined
  /** Where that ended. */
  readonly earlierUntil: string | undefined
  /** Of its process. */
  readonly run: string | undefined
}

/** Reads the sections `replication` and `server` of INFO. */
export function readLineage(replication: string, server: string): Lineage {
  const field = (info: string, name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
  return {
    role: field(replication, 'role'),
    reign: field(replication, 'master_replid'),
    earlier: field(replication, 'master_replid2'),
    earlierUntil: field(replication, 'second_repl_offset'),
    run: field(server, 'run_id'),
  }
}

/** As what a primary has its slots. */
export interface Reigning {
  readonly reign?: string | undefined
  /** Of its process, if that never followed another: it may give its reign another name meanwhile. */
  readonly run?: string | undefined
}

export function reigning({ reign, run, earlier }: Lineage): Reigning {
  return /^0+$/.test(earlier ?? '') ? { reign, run } : { reign }
}
