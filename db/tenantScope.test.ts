import { expect, test } from '@jest/globals';
import { inTenantScope } from './tenantScope.ts';

const tenant = { orgId: 'org_acme', userId: 'user_alice', requestId: 'request-1' };

/** A connection that notes what it is sent. */
function makeClient() {
  const sent: string[] = [];
  const settings: Record<string, string>[] = [];
  const query = async (sql: string, values?: [string]) => {
    sent.push(sql.includes('set_config') ? 'settings' : sql);
    if (values) settings.push(JSON.parse(values[0]));
    return { rows: [] };
  };
  return { sent, settings, client: { query } as unknown as Parameters<typeof inTenantScope>[0] };
}

test('works in a transaction, after its settings, and returns the result', async () => {
  const { client, sent, settings } = makeClient();
  const result = await inTenantScope(client, tenant, () => client.query('work').then(() => 42));
  expect(result).toBe(42);
  expect(sent).toEqual(['begin', 'settings', 'work', 'commit']);
  expect(settings).toEqual([
    {
      transaction_read_only: 'off',
      'jwt.user_id': 'user_alice',
      'jwt.org_id': 'org_acme',
      'jwt.org_role': '',
      'jwt.permissions': '',
      'app.request_id': 'request-1',
    },
  ]);
});

test('keeps the login’s own role: the functions it calls are granted to that', async () => {
  const { client, settings } = makeClient();
  await inTenantScope(client, tenant, async () => {});
  expect(settings[0]).not.toHaveProperty('role');
});

test('sets what is absent to empty', async () => {
  const { client, settings } = makeClient();
  await inTenantScope(client, { ...tenant, userId: null, requestId: null }, async () => {});
  expect(settings[0]).toMatchObject({ 'jwt.user_id': '', 'app.request_id': '' });
});

test('rolls back when the work fails, and passes the failure on', async () => {
  const { client, sent } = makeClient();
  const failure = new Error('No such luck.');
  await expect(inTenantScope(client, tenant, () => Promise.reject(failure))).rejects.toBe(failure);
  expect(sent).toEqual(['begin', 'settings', 'rollback']);
});
