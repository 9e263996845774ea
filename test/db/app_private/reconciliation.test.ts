import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ClerkChange } from '../../../services/clerk/changes.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { alice, aliceAlone, aliceAtGlobex, bob } from '../callers.ts';

/** A walk through what Clerk has: open_reconciliation, reconcile_with_clerk, missing_in_clerk. */

let database: TestDatabase;
let walk: string;
beforeAll(async () => {
  database = await openTestDatabase();
  for (const caller of [alice, bob, aliceAtGlobex, aliceAlone]) await database.provision(caller);
  // A word of each membership, from before the walk.
  await merge(null, [
    membership('org_acme', 'user_alice'),
    membership('org_acme', 'user_bob'),
    membership('org_globex', 'user_alice'),
  ]);
  const { rows } = await database.superuser.query(
    "update app_private.clerk_reconciliations set started_at = now() + interval '1 hour' returning id",
  );
  walk = rows[0].id;
});
afterAll(() => database.close());

const membership = (orgId: string, userId: string): ClerkChange => ({
  orgId,
  userId,
  bornAt: '2026-01-01T00:00:00Z',
  isDeleted: false,
  versionAt: '2026-01-01T00:00:00Z',
  toldAt: '2026-01-01T00:00:00Z',
  role: 'member',
});

/** Merges a page; without a walk, as events would. */
async function merge(id: string | null, changes: ClerkChange[], place = 0) {
  if (id === null) {
    await database.superuser.query('select app_private.open_reconciliation()');
    for (const change of changes) {
      await database.superuser.query('select app_private.apply_clerk_change($1)', [
        JSON.stringify(change),
      ]);
    }
    return;
  }
  await database.superuser.query(
    "select app_private.reconcile_with_clerk($1, 'users', $2, $3, 'users', $4)",
    [id, place, JSON.stringify(changes), place + changes.length],
  );
}

test('what a page names has been seen, and nothing beside it; personal spaces are not looked for', async () => {
  await merge(walk, [membership('org_acme', 'user_alice')]);
  const { rows } = await database.superuser.query(
    'select org_id, user_id from app_private.missing_in_clerk($1, 100)',
    [walk],
  );
  const missing = rows.map(({ org_id, user_id }) => `${org_id} ${user_id}`.trim());
  expect(missing.sort()).toEqual([
    'org_acme',
    'org_acme user_bob',
    'org_globex',
    'org_globex user_alice',
    'user_alice',
    'user_bob',
  ]);
});

test('a page from where the walk no longer is changes nothing', async () => {
  await expect(merge(walk, [membership('org_acme', 'user_late')], 0)).rejects.toMatchObject({
    code: 'RW409',
  });
  const { rowCount } = await database.superuser.query(
    "select from app_public.memberships where user_id = 'user_late'",
  );
  expect(rowCount).toBe(0);
});
