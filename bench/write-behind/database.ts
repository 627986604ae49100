import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from '../../scripts/postgres.js'

/** A Postgres that forces its writes to the disk, as the temporary ones of tests do not. */
export async function openDatabase(
  onProgress: (step: string) => void,
): Promise<AsyncDisposable & { readonly pool: pg.Pool }> {
  const dir = await mkdtemp(join(tmpdir(), 'slotwise-bench-postgres-'))
  const remove = () => rm(dir, { recursive: true, force: true })
  try {
    const server = await startPostgres({ dir: join(dir, 'data'), onProgress })
    const pool = new pg.Pool({ connectionString: server.url, max: 16 })
    // One that is ended while the server ends may still fail.
    pool.on('error', () => {})
    return {
      pool,
      async [Symbol.asyncDispose]() {
        await pool.end()
        await server.stop()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}
