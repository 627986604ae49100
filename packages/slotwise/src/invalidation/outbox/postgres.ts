/**
 * What is asked of a pool of connections to Postgres: `Pool` of `pg` is one. They must be connections to the server itself: behind
 * a pooler that lends one for a transaction only, locks of a session and `LISTEN` do not hold.
 */
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
