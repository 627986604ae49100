import { ConfigurationError } from '../../errors.js'
import { hearNew, type PostgresPool } from '../../postgres.js'
import { literal, type OutboxPlace, type Place, placeOf } from './place.js'

/** Of what {@link outboxSql} makes. Counted up with every change of it, and never down. */
export const VERSION = 1

/** What {@link outboxSql} is told. */
export interface OutboxSqlOptions extends OutboxPlace {
  /**
   * Wake the consumer with every commit. Postgres lets one transaction at a time commit that notifies: where thousands a second
   * write what is watched, leave it to `pollMs`. @defaultValue `true`
   */
  readonly notify?: boolean | undefined
}

/**
 * The statements that make an outbox, for your migrations: a table, a trigger function that notes what a changed row
 * concerns, and `…_watch`, which puts it on a table. Running them again is harmless; those of an older version upgrade,
 * those of a newer one are left alone with an error. Run them in one transaction, as the owner of the watched tables or
 * somebody who may create in the schema. Postgres 14 or later.
 *
 * @throws ConfigurationError a name is not fit to stand in SQL
 *
 * @example
 * ```ts
 * import { outboxSql, watchSql } from 'slotwise/invalidation'
 *
 * console.log(outboxSql())
 * console.log(watchSql('articles', [{ name: 'articles', entry: '{id}' }, { name: 'pages', tags: ['author:{author_id}'] }]))
 * ```
 */
export function outboxSql(options: OutboxSqlOptions = {}): string {
  const place = placeOf(options)
  return [
    `-- slotwise outbox ${place.name}, version ${VERSION}. Running it again is harmless.`,
    guard(place),
    table(place),
    expression(place),
    note(place),
    watch(place),
    notification(place, options.notify ?? true),
    `comment on table ${place.quoted()} is ${literal(`slotwise outbox ${VERSION}: changes whose invalidation is not confirmed yet`)};`,
  ].join('\n\n')
}

/**
 * Runs {@link outboxSql} in a transaction, for those who keep no migrations. Safe in many processes at once.
 *
 * @throws ConfigurationError a name is not fit, or the outbox there is of a newer version; whatever the pool throws
 */
export async function installOutbox(pool: PostgresPool, options: OutboxSqlOptions = {}): Promise<void> {
  const sql = outboxSql(options)
  const { name, quoted } = placeOf(options)
  hearNew(pool)
  const client = await pool.connect()
  // A connection that breaks says so by an event too, which would end the process if nobody heard it.
  client.on('error', () => {})
  let isClean = false
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 1))', [`slotwise outbox ${name}`])
    const found = await client.query(VERSION_OF, [quoted()])
    const version = versionIn(found.rows)
    if (version > VERSION) throw newer(name, version)
    await client.query(sql)
    await client.query('commit')
    isClean = true
  } finally {
    client.release(!isClean)
  }
}

/** The version of an outbox by the name of its table; null where there is none. */
export const VERSION_OF = `select substring(obj_description(to_regclass($1), 'pg_class') from '^slotwise outbox ([0-9]+)')::int as version`

/** As {@link VERSION_OF} answers; 0 for none. */
export function versionIn(rows: readonly unknown[]): number {
  const [row] = rows as readonly { readonly version: number | null }[]
  return row?.version ?? 0
}

export function newer(name: string, version: number): ConfigurationError {
  return new ConfigurationError(
    `the outbox ${name} is of version ${version}, and this slotwise knows ${VERSION}: use the newer one`,
  )
}

const guard = (place: Place) => `do $do$
begin
  if substring(obj_description(to_regclass(${literal(place.quoted())}), 'pg_class') from '^slotwise outbox ([0-9]+)')::int > ${VERSION} then
    raise exception 'the outbox ${place.name} is of a newer version than ${VERSION}';
  end if;
end
$do$;`

// Ids are given out one by one (cache 1): of two changes of one row, the later has the larger id, in whichever session.
const table = (place: Place) => `create table if not exists ${place.quoted()} (
  id bigint generated always as identity (cache 1) primary key,
  name text,
  tenant text,
  entry text[],
  tags text[],
  everything boolean not null default false,
  key text,
  payload jsonb,
  source text,
  operation text,
  at timestamptz not null default clock_timestamp(),
  xid xid8 not null default pg_current_xact_id(),
  failed_at timestamptz,
  failure text
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create index if not exists "${place.table}_set_aside" on ${place.quoted()} (id) where failed_at is not null;`

const expression = (
  place: Place,
) => `create or replace function ${place.quoted('_expression')}(template text) returns text
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $fn$
declare
  made text;
begin
  if regexp_replace(template, '\\{[^{}]+\\}', '', 'g') ~ '[{}]' then
    raise exception 'a brace of % belongs to no column', template;
  end if;
  select string_agg(case when m[1] is null then quote_literal(m[2]) else format('r.%I::text', m[1]) end, ' || ' order by n)
    into made
    from regexp_matches(template, '\\{([^{}]+)\\}|([^{}]+)', 'g') with ordinality as t(m, n);
  return coalesce(made, quote_literal(''));
end
$fn$;`

// It runs as its owner, so that writers need no rights on the outbox. Whoever may put it on a table may write there.
const note = (place: Place) => `create or replace function ${place.quoted('_note')}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $fn$
declare
  item jsonb;
  relation text;
  tenant text;
  what text;
  payload text;
  parts text[];
begin
  -- The writer has said that it tells everybody itself.
  if current_setting('${place.table}.quiet', true) = 'on' then return null; end if;
  for item in select value from jsonb_array_elements(tg_argv[0]::jsonb) loop
    if tg_op = 'TRUNCATE' then
      insert into ${place.quoted()} (name, everything, source, operation)
      values (item->>'name', true, tg_relid::regclass::text, tg_op);
      continue;
    end if;
    tenant := coalesce(${place.quoted('_expression')}(item->>'tenant'), 'null::text');
    select coalesce(string_agg(format('%L, r.%I', c, c), ', '), '') into payload
      from jsonb_array_elements_text(item->'payload') as c;
    payload := case when item ? 'payload' then format('jsonb_build_object(%s)', payload) else 'null::jsonb' end;
    select string_agg(${place.quoted('_expression')}(part), ', ' order by n) into what
      from jsonb_array_elements_text(coalesce(item->'entry', item->'tags')) with ordinality as p(part, n);
    parts := '{}';
    -- The newer row first: of two that concern the same, its payload is told.
    foreach relation in array array['new_rows', 'old_rows'] loop
      continue when relation = 'new_rows' and tg_op = 'DELETE' or relation = 'old_rows' and tg_op = 'INSERT';
      parts := parts || format('select %s as tenant, array[%s]::text[] as parts, %s as payload, %s as age from %I as r',
        tenant, what, payload, cardinality(parts), relation);
    end loop;
    if item ? 'entry' then
      execute format($sql$
        insert into ${place.quoted()} (name, tenant, entry, payload, source, operation)
        select $1, tenant, parts, payload, $2, $3 from (
          select distinct on (tenant, parts) * from (%s) as rows
          where array_position(parts, null) is null
          order by tenant, parts, age
        ) as once
      $sql$, array_to_string(parts, ' union all ')) using item->>'name', tg_relid::regclass::text, tg_op;
    else
      execute format($sql$
        insert into ${place.quoted()} (name, tenant, tags, payload, source, operation)
        select $1, tenant, array[tag], payload, $2, $3 from (
          select distinct on (tenant, tag) * from (%s) as rows cross join unnest(parts) as tag
          where tag is not null
          order by tenant, tag, age
        ) as once
      $sql$, array_to_string(parts, ' union all ')) using item->>'name', tg_relid::regclass::text, tg_op;
    end if;
  end loop;
  return null;
end
$fn$;

revoke all on function ${place.quoted('_note')}() from public;`

const EVENTS = [
  ['insert', 'after insert on %s referencing new table as new_rows'],
  ['update', 'after update on %s referencing old table as old_rows new table as new_rows'],
  ['delete', 'after delete on %s referencing old table as old_rows'],
  ['truncate', 'after truncate on %s'],
] as const

const watch = (
  place: Place,
) => `create or replace function ${place.quoted('_watch')}(target regclass, invalidates jsonb) returns void
language plpgsql as $fn$
declare
  item jsonb;
  unknown text;
begin
  for item in select value from jsonb_array_elements(invalidates) loop
    if jsonb_typeof(item->'name') is distinct from 'string' or (item ? 'entry') = (item ? 'tags')
        or jsonb_array_length(coalesce(item->'entry', item->'tags')) = 0 then
      raise exception 'each needs a name, and either entry or tags, which are not empty: %', item;
    end if;
    select c into unknown from (
      select m[1] as c
        from jsonb_path_query(item, 'strict $.*') as v(value),
             regexp_matches(v.value::text, '\\{([^{}"]+)\\}', 'g') as m
       where jsonb_typeof(v.value) in ('string', 'array')
      union all
      select jsonb_array_elements_text(item->'payload')
    ) as named
    where not exists (
      select from pg_catalog.pg_attribute where attrelid = target and attname = c and attnum > 0 and not attisdropped
    );
    if found then raise exception '% has no column %', target, unknown; end if;
    perform ${place.quoted('_expression')}(v) from (
      select item->>'tenant' as v
      union all
      select jsonb_array_elements_text(coalesce(item->'entry', item->'tags'))
    ) as templates;
  end loop;
${EVENTS.map(
  ([event, when]) =>
    `  execute format('create or replace trigger %I ${when} for each statement execute function ${place.quoted('_note')}(%L)', '${place.table}_${event}', target, invalidates);`,
).join('\n')}
end
$fn$;

create or replace function ${place.quoted('_unwatch')}(target regclass) returns void
language plpgsql as $fn$
begin
${EVENTS.map(([event]) => `  execute format('drop trigger if exists %I on %s', '${place.table}_${event}', target);`).join('\n')}
end
$fn$;`

const notification = (
  place: Place,
  isOn: boolean,
) => `create or replace function ${place.quoted('_notify')}() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $fn$
begin
  if exists (select from new_rows) then perform pg_notify(${literal(place.channel)}, ''); end if;
  return null;
end
$fn$;

${
  isOn
    ? `create or replace trigger "${place.table}_notify" after insert on ${place.quoted()}
  referencing new table as new_rows for each statement execute function ${place.quoted('_notify')}();`
    : `drop trigger if exists "${place.table}_notify" on ${place.quoted()};`
}`
