import type { Login } from './scope/asLogin.ts';

/** A login that row-level security would not bind. */
export class TooPowerfulLoginError extends Error {
  override readonly name = 'TooPowerfulLoginError';
}

/**
 * Makes sure that neither the login nor any role it can become
 * bypasses row-level security; and that it can become app_user, as the API has to,
 * or cannot, as the worker must not.
 *
 * @throws TooPowerfulLoginError, saying which role it is and what to do.
 */
export async function assertLeastPrivilege(
  login: Pick<Login, 'query'>,
  uses: 'app_user' | 'its functions' = 'app_user',
): Promise<void> {
  const { rows } = await login.query<{ login: string; powerful: string | null; can_act: boolean }>(
    sql,
  );
  const [row] = rows;
  if (!row) throw new Error('Postgres did not say who is logged in.');
  if (row.powerful !== null) {
    throw new TooPowerfulLoginError(
      row.powerful === row.login
        ? `The login "${row.login}" bypasses row-level security. Use one without SUPERUSER, BYPASSRLS and ownership of the schema.`
        : `The login "${row.login}" can become "${row.powerful}", which bypasses row-level security. Revoke that membership.`,
    );
  }
  if (uses === 'app_user' && !row.can_act) {
    throw new Error(
      `The login "${row.login}" cannot become app_user. Run npm run migrate with DATABASE_URL set, or: grant app_user to "${row.login}" with inherit false, set true.`,
    );
  }
  if (uses === 'its functions' && row.can_act) {
    throw new TooPowerfulLoginError(
      `The login "${row.login}" can become app_user, and so act for any organization. Run npm run migrate with DATABASE_WORKER_URL set, or: revoke app_user from "${row.login}". API and worker need a login each.`,
    );
  }
}

// The owner of the tables is bound by forced row-level security, but could switch it off.
const sql = `
  with recursive reachable as (
    select oid from pg_catalog.pg_roles where rolname = session_user
    union
    select m.roleid from pg_catalog.pg_auth_members m join reachable r on r.oid = m.member
  )
  select
    session_user::text as login,
    (
      select p.rolname::text
      from reachable r join pg_catalog.pg_roles p using (oid)
      where p.rolsuper or p.rolbypassrls
        or p.oid in (select nspowner from pg_catalog.pg_namespace where nspname = 'app_public')
      order by p.rolname = session_user desc
      limit 1
    ) as powerful,
    pg_catalog.pg_has_role(session_user, 'app_user', 'SET') as can_act
`;
