import type { Migration } from './migration.js'

// Rows of a dump gather here, in batches, and move to where they are seen in one transaction. They name no tenant
// of the tenants' table: that one appears with its data.
export const imports: Migration = {
  name: '0002_import',
  sql: `
    create table imports (
      tenant_id text collate "C" primary key,
      fingerprint text not null,
      finished_at timestamptz(3)
    );

    create table import_rows (
      tenant_id text collate "C" not null,
      file text collate "C" not null,
      row integer not null,
      kind text collate "C" not null,
      id text collate "C" not null,
      parent text collate "C",
      author text collate "C",
      author_name text,
      content text,
      score integer not null,
      created_at timestamptz(3),
      edited_at timestamptz(3),
      primary key (tenant_id, file, row)
    );

    create table import_changes (
      tenant_id text collate "C" not null,
      entity_id text collate "C" not null,
      comment_id text collate "C" not null,
      primary key (tenant_id, entity_id, comment_id)
    );
  `,
}
