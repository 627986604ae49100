/** What is asked of a pool of connections to Postgres: `Pool` of `pg` is one. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  /** Told of every new connection, before anybody is lent it. */
  on?(event: 'connect', listener: (client: Pick<PostgresClient, 'on'>) => void): unknown
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** One connection. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
  /** With `true` it is ended rather than kept for others. */
  release(destroy?: boolean): void
  on(event: 'notification' | 'error' | 'end', listener: (told?: unknown) => void): unknown
  removeListener(event: 'notification' | 'error' | 'end', listener: (told?: unknown) => void): unknown
}

const heard = new WeakSet<PostgresPool>()

/**
 * One packet can say that a connection is ready and that it is over: then it fails after the pool has stopped to listen and
 * before whoever it is lent to has begun, and an error that nobody listens to ends the process.
 */
export function hearNew(pool: PostgresPool): void {
  if (heard.has(pool)) return
  heard.add(pool)
  pool.on?.('connect', (client) => client.on('error', () => {}))
}
