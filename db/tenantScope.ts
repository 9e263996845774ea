import type { ClientBase } from 'pg';
import { pgSettings } from './claims.ts';

/** For whom a job works. */
export type Tenant = { orgId: string; userId: string | null; requestId: string | null };

/**
 * Runs work in one transaction with the settings of a tenant, as the login of
 * this connection: for the app_private functions that move states, whose
 * policies keep them inside the organization of the settings.
 *
 * The settings end with the transaction.
 */
export async function inTenantScope<Result>(
  client: Pick<ClientBase, 'query'>,
  { orgId, userId, requestId }: Tenant,
  work: () => Promise<Result>,
): Promise<Result> {
  const caller = { orgId, userId: userId ?? '', orgRole: '', permissions: [] };
  const { role: _, ...settings } = pgSettings(caller, requestId ?? '');
  await client.query('begin');
  try {
    await client.query(
      'select set_config(name, value, true) from jsonb_each_text($1) as setting (name, value)',
      [JSON.stringify(settings)],
    );
    const result = await work();
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}
