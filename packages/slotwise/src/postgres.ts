/** What is asked of a pool of connections to Postgres here; `Pool` of `pg` tells of each that it makes. */
interface TellingPool {
  on?(
    event: 'connect',
    listener: (client: { on(event: 'error', listener: () => void): unknown }) => void,
  ): unknown
}

const heard = new WeakSet<TellingPool>()

/**
 * One packet can say that a connection is ready and that it is over: then it fails after the pool has stopped to listen and
 * before whoever it is lent to has begun, and an error that nobody listens to ends the process.
 */
export function hearNew(pool: TellingPool): void {
  if (heard.has(pool)) return
  heard.add(pool)
  pool.on?.('connect', (client) => client.on('error', () => {}))
}
