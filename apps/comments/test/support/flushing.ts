import pg from 'pg'

/** Until it is released nobody writes what waits, in any process: the positions of journals are locked. */
export async function holdFlushers(databaseUrl: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('begin')
  await client.query('lock table slotwise_writebehind in access exclusive mode')
  let released: Promise<void> | undefined
  return () => (released ??= client.end())
}
