import { readFileSync } from 'node:fs';
import pg, { type Client } from 'pg';

/** Something that an administrator of the cluster has to do first. */
class RolesMissingError extends Error {
  override readonly name = 'RolesMissingError';
}

/** The group of a login: inherited are its rights to execute a few functions, and nothing else. */
type Group = 'app_api' | 'app_worker';

const roles = ['app_user', 'app_api', 'app_worker'];
const rolesSql = readFileSync(new URL('./roles.sql', import.meta.url), 'utf8');

/**
 * Makes sure that the roles requests and jobs run as exist.
 *
 * @param owner connected as the login in DATABASE_OWNER_URL.
 * @throws RolesMissingError where they do not and this login may not create them.
 */
export async function ensureRoles(owner: Client): Promise<void> {
  if ((await missingRoles(owner)).length === 0) return;
  if (!(await mayCreateRoles(owner))) {
    throw new RolesMissingError(
      `The roles ${(await missingRoles(owner)).join(', ')} do not exist, and "${owner.user}" may not create roles. Have an administrator of the cluster run db/roles.sql once, or grant CREATEROLE to "${owner.user}".`,
    );
  }
  await owner.query(rolesSql);
}

/**
 * Makes sure that the login of a connection string exists and may do its part: that
 * of the API become app_user, both execute the functions of their group. That of the
 * worker may not become app_user, which would let it act for any organization; it
 * could in earlier versions, and is taken out.
 *
 * A login that exists keeps its password; one that does not is created with the
 * one in the connection string, where this owner may create roles.
 */
export async function ensureLogin(
  owner: Client,
  connectionString: string,
  group: Group,
): Promise<void> {
  const { user: login, password } = new pg.Client({ connectionString });
  if (!login) throw new RolesMissingError(`The connection string of ${group} names no user.`);
  const { escapeIdentifier: id, escapeLiteral: text } = pg;
  const actsForCallers = group === 'app_api';
  const { rows } = await owner.query(
    `select
       exists (select from pg_catalog.pg_roles where rolname = $1) as exists,
       coalesce((select rolsuper from pg_catalog.pg_roles where rolname = $1), false) as is_super,
       coalesce((select pg_has_role(oid, 'app_user', 'SET') = $3 and pg_has_role(oid, $2, 'USAGE')
         from pg_catalog.pg_roles where rolname = $1), false) as is_right`,
    [login, group, actsForCallers],
  );
  if (rows[0].is_super || rows[0].is_right) return;
  const steps = [
    actsForCallers
      ? `grant app_user to ${id(login)} with inherit false, set true`
      : `revoke app_user from ${id(login)}`,
    `grant ${group} to ${id(login)} with inherit true, set false`,
  ];
  const wrong = actsForCallers
    ? `not yet a member of app_user and ${group}`
    : `not yet a member of ${group}, or still one of app_user`;
  if (!(await mayCreateRoles(owner))) {
    throw new RolesMissingError(
      `The login "${login}" is missing or ${wrong}, and "${owner.user}" may not change roles. Have an administrator run: ${[`create role ${id(login)} login noinherit`, ...steps, ''].join('; ').trim()}`,
    );
  }
  if (!rows[0].exists) {
    await owner.query(
      `create role ${id(login)} login noinherit${password ? ` password ${text(password)}` : ''}`,
    );
  }
  for (const step of steps) await owner.query(step);
  if (!actsForCallers) await assertCannotAct(owner, login);
}

/** A membership that someone else has granted is theirs to revoke. */
async function assertCannotAct(owner: Client, login: string): Promise<void> {
  const { rows } = await owner.query<{ can_act: boolean }>(
    "select pg_has_role($1, 'app_user', 'SET') as can_act",
    [login],
  );
  if (!rows[0]?.can_act) return;
  throw new RolesMissingError(
    `The login "${login}" of the worker can still become app_user. Have an administrator revoke that membership; API and worker need a login each.`,
  );
}

async function missingRoles(owner: Client): Promise<string[]> {
  const { rows } = await owner.query<{ role: string }>(
    'select role from unnest($1::text[]) as role where not exists (select from pg_catalog.pg_roles where rolname = role)',
    [roles],
  );
  return rows.map(({ role }) => role);
}

async function mayCreateRoles(owner: Client): Promise<boolean> {
  const { rows } = await owner.query<{ may: boolean }>(
    'select rolsuper or rolcreaterole as may from pg_catalog.pg_roles where rolname = current_user',
  );
  return rows[0]?.may ?? false;
}
