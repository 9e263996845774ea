import type { Pool } from 'pg';
import type { PgClient, WithPgClient } from 'postgraphile/@dataplan/pg';
import { makePgAdaptorWithPgClient } from 'postgraphile/@dataplan/pg/adaptors/pg';
import { pgSettings } from '../../../db/claims.ts';
import { openPool, type PoolOptions } from '../../../db/pool.ts';
import { makeWithPgClient } from '../../../db/scope/makeWithPgClient.ts';
import type { TestDatabase } from '../../support/database.ts';

/** PostGraphile's own adaptor, and the caller's scope that takes its place. */
export const adaptors: [string, (pool: Pool) => WithPgClient][] = [
  ['the stock adaptor', (pool) => makePgAdaptorWithPgClient(pool) as unknown as WithPgClient],
  ['the scope', (pool) => makeWithPgClient(pool) as unknown as WithPgClient],
];

/** What a request of Alice's may do. */
export const writing = pgSettings(
  { userId: 'user_alice', orgId: 'org_acme', orgRole: 'admin', permissions: ['a', 'b'] },
  'request-1',
);
/** The same, for what must not write. */
export const reading: typeof writing = { ...writing, transaction_read_only: 'on' };
/** A request of Bob's, of another organization, with fewer claims. */
export const bobs = pgSettings(
  { userId: 'user_bob', orgId: 'org_globex', orgRole: '', permissions: [] },
  'request-2',
);

/** Opens the API's pool on a database, with one connection unless told otherwise. */
export function openTestPool(
  { apiUrl }: Pick<TestDatabase, 'apiUrl'>,
  options: Partial<PoolOptions> = {},
): Pool {
  return openPool({
    connectionString: apiUrl,
    size: 1,
    applicationName: 'test',
    onConnectionError: () => {},
    ...options,
  });
}

/** Sends one statement outside a transaction. */
export async function query<Row>(
  withPgClient: WithPgClient,
  settings: typeof writing | null,
  text: string,
  values: unknown[] = [],
): Promise<readonly Row[]> {
  const send = (client: PgClient) => client.query<Row>({ text, values });
  return (await withPgClient(settings, send)).rows;
}

/** Things to query, in a schema of their own that app_user may use. */
export async function addPlayground({ superuser }: Pick<TestDatabase, 'superuser'>): Promise<void> {
  await superuser.query(playground);
}

const playground = `
  create schema play;
  grant usage on schema play to app_user;
  create type play.mood as enum ('GOOD', 'BAD');
  create table play.things (
    id int primary key,
    name text not null default '' constraint things_name_check check (name <> 'forbidden'),
    count int not null default 0
  );
  create table play.parts (
    id int primary key,
    thing_id int constraint parts_thing_id_fkey references play.things deferrable initially deferred
  );
  grant all on play.things, play.parts to app_user;

  create function play.remark(what text) returns int language plpgsql as $$
  begin
    raise notice 'first %', what;
    raise warning 'second %', what using errcode = 'RW999', hint = 'a hint', detail = 'a detail';
    if what = 'fatal' then raise exception 'third %', what; end if;
    return 1;
  end $$;

  create function play.refuse() returns int language plpgsql as $$
  begin
    raise exception 'Not so.' using errcode = 'RW400', hint = 'field', detail = 'because';
  end $$;

  -- Fails as if another transaction had come first, as often as the row says.
  create sequence play.tries;
  grant usage on sequence play.tries to app_user;
  create function play.fail_until(wanted int, sqlstate text) returns int language plpgsql as $$
  declare
    try int := nextval('play.tries');
  begin
    insert into play.things values (1000 + try);
    if try < wanted then raise exception 'Try %', try using errcode = sqlstate; end if;
    return try;
  end $$;
`;
