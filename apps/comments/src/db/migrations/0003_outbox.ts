import { outboxSql, watchSql } from 'slotwise/invalidation'
import type { Migration } from './migration.js'

/** As the caches name their entries: see services/caches.ts. */
const tenant = '{tenant_id}'

// What is changed by hand, by a job in another language or past this service is noted where it is changed, in its own
// transaction, and carried to the caches from there. The statements are those of the library of the day that it is run; what
// a later version of the library needs comes in a step of its own.
export const outbox: Migration = {
  name: '0003_outbox',
  sql: [
    outboxSql(),
    watchSql('comments', [
      { name: 'comments', tenant, entry: '{id}' },
      { name: 'threads', tenant, entry: '{entity_id}' },
    ]),
    watchSql('entities', [{ name: 'threads', tenant, entry: '{id}' }]),
  ].join('\n'),
}
