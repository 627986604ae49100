/** One change, as it was written into the outbox. */
export interface OutboxEvent {
  /** Larger for the later of two changes of one row: what a receiver can compare, should an older one come again. */
  readonly id: bigint
  /** Events of one key come in order. If the writer gave none: the name, tenant and entry or tags together. */
  readonly key: string
  /** Of the cache or of the tags. `undefined` for an event that is for handlers only. */
  readonly name: string | undefined
  readonly tenant: string | undefined
  /** The parts of the id of an entry. */
  readonly entry: readonly string[] | undefined
  readonly tags: readonly string[]
  /** All entries and tags of the name, and of the tenant if there is one. */
  readonly everything: boolean
  /** Whatever the writer put there; `null` if nothing. */
  readonly payload: unknown
  /** The table that was changed, and how, if a trigger wrote it. */
  readonly source: string | undefined
  readonly operation: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE' | undefined
  /** When it was written, by the clock of Postgres; its transaction may have been committed much later. */
  readonly writtenAt: Date
}

interface Row {
  readonly id: string
  readonly key: string | null
  readonly name: string | null
  readonly tenant: string | null
  readonly entry: readonly string[] | null
  readonly tags: readonly string[] | null
  readonly everything: boolean
  readonly payload: unknown
  readonly source: string | null
  readonly operation: OutboxEvent['operation'] | null
  readonly at: number
}

/** As text, so that no setting of a client changes what arrives. */
export const EVENT = `json_build_object('id', id::text, 'key', key, 'name', name, 'tenant', tenant, 'entry', entry, 'tags', tags,
  'everything', everything, 'payload', payload, 'source', source, 'operation', operation, 'at', extract(epoch from at) * 1000)::text`

export function eventOf(text: string): OutboxEvent {
  const row = JSON.parse(text) as Row
  const name = row.name ?? undefined
  const tenant = row.tenant ?? undefined
  const entry = row.entry ?? undefined
  const tags = row.tags ?? []
  return {
    id: BigInt(row.id),
    key: row.key ?? JSON.stringify([name, tenant, entry ?? null, tags]),
    name,
    tenant,
    entry,
    tags,
    everything: row.everything,
    payload: row.payload,
    source: row.source ?? undefined,
    operation: row.operation ?? undefined,
    writtenAt: new Date(row.at),
  }
}
