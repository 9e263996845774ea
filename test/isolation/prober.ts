import type { ClientBase } from 'pg';

/** One statement to be tried by somebody, and undone. */
export type Probe = {
  /** Settings of the transaction: the role and the claims. */
  settings: Readonly<Record<string, string>>;
  statement: string;
  /** `rows`: the statement is a query of one text. `effect`: how many rows it touched, or what `look` sees. */
  wants: 'rows' | 'effect';
  /** Asked by the superuser afterwards; a query of one text. */
  look?: string;
};

/** What came of it: a text, or the SQLSTATE that refused it. */
export type Outcome = { seen: string } | { code: string; constraint: string };

/** Makes the function that `probe` calls, for this session. */
export async function installProber(client: Pick<ClientBase, 'query'>): Promise<void> {
  await client.query(proberSql);
}

/**
 * Tries statements, each by itself and each undone, in one round trip. Who would be app_user has to be
 * admitted first, as in a request. Needs an open transaction of a superuser.
 */
export async function probe(
  client: Pick<ClientBase, 'query'>,
  probes: readonly Probe[],
): Promise<Outcome[]> {
  const { rows } = await client.query<{ outcome: Outcome }>(
    `select pg_temp.probe(p -> 'settings', p ->> 'statement', p ->> 'wants' = 'rows', p ->> 'look') as outcome
     from jsonb_array_elements($1) with ordinality as given (p, place) order by place`,
    [JSON.stringify(probes)],
  );
  return rows.map(({ outcome }) => outcome);
}

const proberSql = `
  create or replace function pg_temp.probe(settings jsonb, statement text, wants_rows boolean, look text) returns jsonb
  language plpgsql as $$
  declare
    seen text;
    affected bigint;
    refusing text;
  begin
    perform set_config(key, value, true) from jsonb_each_text(settings) where key <> 'role';
    -- As the statement that sets the claims of a request does, and as the login that runs it.
    if settings ->> 'role' = 'app_user' then
      perform set_config('role', 'app_api', true);
      perform app_private.admit(settings ->> 'jwt.user_id', settings ->> 'jwt.org_id');
    end if;
    perform set_config('role', settings ->> 'role', true);
    if wants_rows then
      execute statement into seen;
    else
      execute statement;
      get diagnostics affected = row_count;
      seen := affected::text;
    end if;
    perform set_config('role', 'none', true);
    if look is not null then
      execute look into seen;
    end if;
    raise exception using errcode = 'PRB00', message = coalesce(seen, '');
  exception when others then
    get stacked diagnostics refusing = constraint_name;
    if sqlstate = 'PRB00' then
      return jsonb_build_object('seen', sqlerrm);
    end if;
    return jsonb_build_object('code', sqlstate, 'constraint', refusing);
  end $$`;
