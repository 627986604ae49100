import { fencesSql } from 'slotwise/lock'
import type { Migration } from './migration.js'

// What a night's recount has found, once for all processes; and the tokens that keep one that lost its lock from going on.
export const recounts: Migration = {
  name: '0005_recounts',
  sql: `
    ${fencesSql()}

    create table recounts (
      day date primary key,
      looked_at integer not null,
      corrected integer not null,
      ended_at timestamptz(3) not null default now()
    );
  `,
}
