import { watchSql } from 'slotwise/invalidation'
import { writeBehindSql } from 'slotwise/writebehind'
import type { Migration } from './migration.js'

const tenant = '{tenant_id}'

// Rows that are written behind are known by a hash: a journal takes no ids of any length. That of an entity is made here as
// repositories/row-id.ts makes it, so that every entity has a count of views to begin with, whoever adds it. A row of its own,
// since the entity's own row would tell the caches with each count that the thread has changed.
export const behind: Migration = {
  name: '0004_behind',
  sql: `
    ${writeBehindSql()}

    create table entity_views (
      tenant_id text collate "C" not null,
      id text collate "C" not null,
      entity_id text collate "C" not null,
      views bigint not null default 0 check (views >= 0),
      primary key (tenant_id, id),
      unique (tenant_id, entity_id),
      foreign key (tenant_id, entity_id) references entities on delete cascade
    );

    create function begin_views() returns trigger language plpgsql as $$
    begin
      insert into entity_views (tenant_id, id, entity_id)
        select tenant_id, left(encode(sha256(convert_to(id, 'UTF8')), 'hex'), 32), id from added
        on conflict do nothing;
      return null;
    end
    $$;
    -- First, so that nothing is added between this and the next statement.
    create trigger begin_views after insert on entities referencing new table as added
      for each statement execute function begin_views();
    insert into entity_views (tenant_id, id, entity_id)
      select tenant_id, left(encode(sha256(convert_to(id, 'UTF8')), 'hex'), 32), id from entities;

    create table reactions (
      tenant_id text collate "C" not null,
      id text collate "C" not null,
      -- The hash of the entity that the comment is under.
      thread text collate "C" not null,
      comment_id text collate "C" not null,
      user_id text collate "C" not null,
      kind text not null,
      primary key (tenant_id, id),
      foreign key (tenant_id, comment_id) references comments on delete cascade
    );
    create index reactions_thread on reactions (tenant_id, thread);
    create index reactions_comment on reactions (tenant_id, comment_id);

    ${watchSql('entity_views', [{ name: 'views', tenant, entry: '{id}' }])}
    ${watchSql('reactions', [{ name: 'reactions', tenant, entry: '{thread}' }])}
  `,
}
