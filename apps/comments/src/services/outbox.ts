import { type OutboxErrorContext, outbox, type PostgresPool } from 'slotwise/invalidation'
import type { RedisPort } from 'slotwise/redis'

/**
 * Carries to the caches what anybody changes in the database: by hand, in another language, past this service. It follows the
 * commit by milliseconds; what this service changes itself is told by then.
 */
export function carryChanges(
  pool: PostgresPool,
  port: RedisPort,
  onError: (error: Error, context: OutboxErrorContext) => void,
): AsyncDisposable & { close(): Promise<void> } {
  return outbox({ pool, onError }, port)
}
