import type pg from 'pg'

/** From now on every state of a row is noted, in the order of it; `version` is the column that only grows. */
export async function audit(pool: pg.Pool, table: string, version: string): Promise<void> {
  await pool.query(`
    create table ${table}_log (n bigserial primary key, id text not null, version bigint, views bigint);
    create function ${table}_noted() returns trigger language plpgsql as $$ begin
      insert into ${table}_log (id, version, views) values (new.id, new.${version}::bigint, new.views); return new;
    end $$;
    create trigger noted after insert or update on ${table} for each row execute function ${table}_noted()`)
}

/** A state of a row that came after a newer one. */
export interface Back {
  readonly id: string
  readonly newest: number
  readonly version: number
}

/** Rows that were written over with an older state. */
export async function wentBack(pool: pg.Pool, table: string): Promise<readonly Back[]> {
  const { rows } = await pool.query<Back>(
    `select id, newest::int, version::int from (
       select id, version, max(version) over (partition by id order by n rows between unbounded preceding and 1 preceding)
         as newest, n from ${table}_log) as states
     where version < newest order by n`,
  )
  return rows
}
