import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { askWhy, type WhyQuestion } from '../../db/whyAsk.ts';
import { WhyError } from '../../db/whyClients.ts';
import { renderAccess } from '../../db/whyReport.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { guideTable } from '../support/schemaGuide.ts';
import { alice, bob, carol, commitAs, connected, provisionAll } from './callers.ts';

/**
 * A row is found on any table, with nothing added for it: forced row-level security binds the
 * owner's login, and a team's tables have no policy for it.
 */

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  await asOwner(guideTable);
  await asOwner(drafts);
});
afterAll(() => database.close());

const asOwner = (sql: string) =>
  connected(database.ownerUrl, (client) => client.query(sql).then(({ rows }) => rows));
const why = (question: Partial<WhyQuestion>, mayLock = false) =>
  askWhy(
    { ...database, mayLock },
    {
      userId: 'user_bob',
      orgId: 'org_acme',
      permissions: [],
      table: 'notes',
      command: 'select',
      ...question,
    },
  );
const write = async (caller: typeof alice, sql: string): Promise<string> =>
  (await commitAs(database, caller, (client) => client.query(sql))).rows[0].id;

describe.each([
  ['where no table may be locked', false],
  ['where one may', true],
])('of the table that the schema guide shows, %s,', (_where, mayLock) => {
  let note: string;
  beforeEach(async () => {
    const document = await write(
      alice,
      "insert into app_public.documents (title) values ('D') returning id",
    );
    note = await write(
      alice,
      `insert into app_public.notes (document_id, text) values ('${document}', 'N') returning id`,
    );
  });

  test.each<[string, WhyQuestion['command'], boolean, string]>([
    ['alice', 'select', true, 'select_member'],
    ['alice', 'update', true, 'update_own'],
    ['alice', 'delete', true, 'delete_own'],
    ['bob', 'select', true, 'select_member'],
    ['bob', 'update', false, 'update_own'],
    ['bob', 'delete', false, 'delete_own'],
    ['admin', 'update', false, 'update_own'],
    ['admin', 'delete', true, 'delete_own'],
  ])('Alice’s note is found for %s to %s', async (who, command, allowed, policy) => {
    const access = await why({ userId: `user_${who}`, command, id: note }, mayLock);
    expect(access).toMatchObject({
      allowed,
      tried: allowed,
      row: 'given',
      rowOrgId: 'org_acme',
      seenBy: 'caller',
      decidedBy: expect.stringContaining(policy),
    });
  });

  test('the part that decides is shown with the values of the row', async () => {
    const access = await why({ command: 'update', id: note }, mayLock);
    const policy = access.policies.find(({ name, part }) => name === 'update_own' && part);
    expect(policy?.condition.sides.map(({ value }) => value)).toEqual(['user_alice', 'user_bob']);
  });

  test.each(['select', 'update', 'delete'] as const)(
    'it is found for a member of another organization to %s, whom the restrictive policy refuses',
    async (command) => {
      const access = await why(
        { userId: carol.userId, orgId: 'org_globex', command, id: note },
        mayLock,
      );
      expect(access).toMatchObject({
        allowed: false,
        tried: false,
        rowOrgId: 'org_acme',
        seenBy: 'administrator',
        decidedBy: expect.stringContaining('all_same_org'),
      });
    },
  );
});

/** Own rows, for everybody; texts for nobody to read. */
const drafts = `
  create table app_public.drafts (
    org_id text not null default app_hidden.current_org_id(),
    id uuid not null default uuidv7(),
    author_id text not null default app_hidden.current_user_id(),
    text text not null,
    is_shown boolean not null default false,
    constraint drafts_pkey primary key (org_id, id)
  );
  alter table app_public.drafts enable row level security, force row level security;
  create policy select_own on app_public.drafts for select to app_user
    using (author_id = (select app_hidden.current_user_id()) and org_id = (select app_hidden.current_org_id()));
  create policy insert_own on app_public.drafts for insert to app_user
    with check (author_id = (select app_hidden.current_user_id()));
  create policy delete_shown on app_public.drafts for delete to app_user using (is_shown);
  grant select (id, text), insert (text), delete on app_public.drafts to app_user`;

describe('of a table that shows rows to their author alone', () => {
  let draft: string;
  beforeEach(async () => {
    draft = await write(alice, "insert into app_public.drafts (text) values ('D') returning id");
  });
  const asked = () => ({ table: 'drafts', id: draft });
  const isForced = async () =>
    (
      await asOwner(
        "select relforcerowsecurity as it from pg_class where oid = 'app_public.drafts'::regclass",
      )
    )[0].it;

  test('another’s is found by the owner, unbound, where the table may be locked; and it stays forced', async () => {
    const access = await why(asked(), true);
    expect(access).toMatchObject({ allowed: false, tried: false, seenBy: 'unforced' });
    expect(renderAccess(access)).toMatch(/author_id is user_alice\n.*is user_bob/);
    expect(await isForced()).toBe(true);
  });

  test('that none is there is said where the owner looked, unbound', async () => {
    const id = '01900000-0000-7000-8000-000000000000';
    await expect(why({ table: 'drafts', id }, true)).rejects.toThrow('There is no row');
    await expect(why({ table: 'drafts', id })).rejects.toThrow('it is not there, or policies hide');
  });

  test('elsewhere it says that nobody sees it, and the policy that would show it, which does', async () => {
    const failure = await why(asked()).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(WhyError);
    const { message } = failure as WhyError;
    expect(message).not.toContain('There is no row');
    const policy = message.match(/create policy .*;/s)?.[0] ?? '';
    expect(policy).toContain('select_same_org on app_public.drafts for select to rowhouse_owner');
    await asOwner(policy);
    try {
      expect(await why(asked())).toMatchObject({ allowed: false, seenBy: 'owner' });
    } finally {
      await asOwner('drop policy select_same_org on app_public.drafts');
    }
  });

  test('it does not wait for a table in use, says so, and keeps nobody waiting', async () => {
    await database.as(alice, async (client) => {
      await client.query('select id from app_public.drafts');
      await expect(why(asked(), true)).rejects.toThrow(/could not look past them: .*lock timeout/);
    });
    const { rows } = await database.superuser.query(
      "select from pg_locks where relation = 'app_public.drafts'::regclass",
    );
    expect(rows).toEqual([]);
  });

  test('the author’s own is found with the columns that the author may read, and what looks at others is left open', async () => {
    const own = { ...asked(), userId: 'user_alice' };
    expect(await why(own)).toMatchObject({ allowed: true, tried: true, seenBy: 'caller' });
    const access = await why({ ...own, command: 'delete' });
    expect(access).toMatchObject({ allowed: false, tried: false });
    expect(access.decidedBy).toContain('columns that app_user may not read');
    expect(await why({ ...own, command: 'delete' }, true)).toMatchObject({
      allowed: false,
      seenBy: 'unforced',
      decidedBy: expect.stringContaining('delete_shown'),
    });
  });
});

test('looking as others leaves the answer the caller’s own', async () => {
  const { rows } = await database.superuser.query(
    "insert into app_public.drafts (org_id, author_id, text) values ('org_globex', 'user_bob', 'D') returning id",
  );
  const access = await why({ table: 'drafts', id: rows[0].id });
  expect(access).toMatchObject({ allowed: false, tried: false, rowOrgId: 'org_globex' });
  expect(access.caller).toMatchObject({ userId: bob.userId, orgId: bob.orgId, orgRole: 'member' });
});
