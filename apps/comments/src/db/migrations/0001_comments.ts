import type { Migration } from './migration.js'

// Milliseconds, as JavaScript has them: a cursor made of a row's time must meet that row again.
// Ids compare as bytes, whatever the database's language: a cursor's order is the same here and in our code.
// A like names no row of users: who likes need never have written, and imported votes are anonymous.
export const comments: Migration = {
  name: '0001_comments',
  sql: `
    create table tenants (
      id text collate "C" primary key,
      name text not null,
      plan text not null check (plan in ('FREE', 'STARTER', 'BUSINESS', 'ENTERPRISE')),
      created_at timestamptz(3) not null default now()
    );

    create table api_keys (
      key_hash bytea primary key,
      tenant_id text collate "C" not null references tenants on delete cascade,
      label text not null default '',
      created_at timestamptz(3) not null default now()
    );
    create index api_keys_tenant on api_keys (tenant_id);

    create table entities (
      tenant_id text collate "C" not null references tenants on delete cascade,
      id text collate "C" not null,
      title text not null,
      created_at timestamptz(3) not null default now(),
      primary key (tenant_id, id)
    );
    create index entities_newest on entities (tenant_id, created_at desc, id desc);

    create table users (
      tenant_id text collate "C" not null references tenants on delete cascade,
      id text collate "C" not null,
      name text not null,
      primary key (tenant_id, id)
    );

    create table comments (
      tenant_id text collate "C" not null,
      id text collate "C" not null,
      entity_id text collate "C" not null,
      parent_id text collate "C",
      author_id text collate "C" not null,
      content text not null,
      likes integer not null default 0 check (likes >= 0),
      version integer not null default 1,
      created_at timestamptz(3) not null default now(),
      edited_at timestamptz(3),
      deleted_at timestamptz(3),
      primary key (tenant_id, id),
      unique (tenant_id, entity_id, id),
      foreign key (tenant_id, entity_id) references entities on delete cascade,
      foreign key (tenant_id, author_id) references users,
      -- A reply stays with the entity of what it answers.
      foreign key (tenant_id, entity_id, parent_id) references comments (tenant_id, entity_id, id) on delete cascade
    );
    create index comments_thread on comments (tenant_id, entity_id, created_at, id);

    create table likes (
      tenant_id text collate "C" not null,
      comment_id text collate "C" not null,
      user_id text collate "C" not null,
      created_at timestamptz(3) not null default now(),
      primary key (tenant_id, comment_id, user_id),
      foreign key (tenant_id, comment_id) references comments on delete cascade
    );
  `,
}
