import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { askWhy, type WhyQuestion } from '../../db/whyAsk.ts';
import { WhyError } from '../../db/whyClients.ts';
import { renderAccess } from '../../db/whyReport.ts';
import { goneChange } from '../../services/clerk/changes.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { addNotes } from '../support/notes.ts';
import { alice, bob, carol, commitAs, provisionAll } from './callers.ts';

let database: TestDatabase;
let id: string;
let carols: string;
beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
  await addNotes(database);
  const write = async (caller: typeof alice): Promise<string> =>
    (
      await commitAs(database, caller, (client) =>
        client.query("insert into app_public.notes (text) values ('T') returning id"),
      )
    ).rows[0].id;
  id = await write(alice);
  carols = await write(carol);
});
afterAll(() => database.close());

const why = (question: Partial<WhyQuestion>) =>
  askWhy(
    { ...database, mayLock: false },
    {
      userId: 'user_bob',
      orgId: 'org_acme',
      permissions: [],
      table: 'notes',
      command: 'select',
      ...question,
    },
  );
const policyOf = (access: Awaited<ReturnType<typeof why>>, name: string, part = 'using') =>
  access.policies.find((policy) => policy.name === name && policy.part === part);

describe('a row of the organization', () => {
  test('may be read by every member', async () => {
    const access = await why({ id });
    expect(access).toMatchObject({
      allowed: true,
      tried: true,
      row: 'given',
      rowOrgId: 'org_acme',
      command: 'select',
    });
    expect(access.decidedBy).toContain('select_member');
    expect(access.grants.every(({ isGranted }) => isGranted)).toBe(true);
  });

  test('may be changed by its owner, and not by another: the part of the policy that decides is shown with values', async () => {
    const access = await why({ id, command: 'update' });
    expect(access).toMatchObject({ allowed: false, tried: false });
    expect(access.decidedBy).toContain('update_own');
    expect(policyOf(access, 'update_own')).toMatchObject({
      passes: false,
      condition: {
        kind: 'or',
        answer: false,
        parts: [
          {
            kind: 'leaf',
            answer: false,
            sides: [{ text: 'author_id', value: 'user_alice' }, { value: 'user_bob' }],
          },
          { kind: 'leaf', answer: false },
        ],
      },
    });
    expect(await why({ id, command: 'update', userId: 'user_alice' })).toMatchObject({
      allowed: true,
      tried: true,
    });
  });

  test.each([
    [{ role: 'admin' }, true],
    [{ permissions: ['org:notes:manage'] }, true],
    [{ permissions: ['org:notes:read'] }, false],
    [{ userId: 'user_admin' }, true],
  ])('may be deleted with %j: %s', async (more, allowed) => {
    expect(await why({ id, command: 'delete', ...more })).toMatchObject({
      allowed,
      tried: allowed,
    });
    const { rowCount } = await database.superuser.query(
      'select from app_public.notes where id = $1',
      [id],
    );
    expect(rowCount).toBe(1);
  });

  test('may be named by its node id', async () => {
    const nodeId = Buffer.from(JSON.stringify(['Note', id])).toString('base64');
    expect(await why({ id: nodeId, table: 'app_public.notes' })).toMatchObject({
      allowed: true,
      tried: true,
    });
  });
});

test.each([
  [{ table: 'documents' }, 'File', /is an id of type File, not of a row of app_public.documents/],
  [{ table: 'files' }, 'Document', /is an id of type Document/],
  [{ table: 'notes' }, 'AuditEvent', /is an id of type AuditEvent/],
  [{ table: 'notes', nodeType: 'Remark' }, 'Note', /is an id of type Note/],
])('a node id of another type is refused: of %j a %s', async (question, type, message) => {
  const nodeId = Buffer.from(JSON.stringify([type, id])).toString('base64');
  await expect(why({ ...question, id: nodeId })).rejects.toThrow(WhyError);
  await expect(why({ ...question, id: nodeId })).rejects.toThrow(message);
});

test('a node id of a type with a name of its own is taken', async () => {
  for (const question of [{}, { nodeType: 'Remark' }]) {
    const nodeId = Buffer.from(JSON.stringify(['Remark', id])).toString('base64');
    expect(await why({ ...question, id: nodeId })).toMatchObject({ allowed: true });
  }
});

test('a row of another organization is refused by the restrictive policy, which is shown with both organizations', async () => {
  for (const command of ['select', 'update', 'delete'] as const) {
    const access = await why({ id: carols, command });
    expect(access).toMatchObject({ allowed: false, tried: false, rowOrgId: 'org_globex' });
    expect(access.decidedBy).toContain('restrictive policy all_same_org');
    expect(policyOf(access, 'all_same_org')?.condition.sides.map(({ value }) => value)).toEqual([
      'org_globex',
      'org_acme',
    ]);
  }
});

test('an insert is looked at with the defaults of the caller', async () => {
  const access = await why({ command: 'insert' });
  expect(access).toMatchObject({ allowed: true, row: 'new', tried: null });
  expect(access.grants[1]).toEqual({
    privilege: 'insert on app_public.notes',
    isGranted: true,
    columns: ['text'],
  });
});

describe('with values', () => {
  test('an insert is tried, and undone', async () => {
    const before = await database.superuser.query('select from app_public.notes');
    expect(await why({ command: 'insert', values: { text: 'New' } })).toMatchObject({
      allowed: true,
      row: 'new',
      tried: true,
    });
    const after = await database.superuser.query('select from app_public.notes');
    expect(after.rowCount).toBe(before.rowCount);
  });

  test('the checks see the row as it would be', async () => {
    const access = await why({
      command: 'insert',
      values: { author_id: 'user_alice', text: 'As Alice' },
    });
    expect(access).toMatchObject({ allowed: false, tried: false });
    expect(policyOf(access, 'insert_own', 'check')).toMatchObject({
      passes: false,
      condition: { sides: [{ text: 'author_id', value: 'user_alice' }, { value: 'user_bob' }] },
    });
    const moved = await why({
      userId: 'user_alice',
      command: 'update',
      id,
      values: { author_id: 'user_bob' },
    });
    expect(policyOf(moved, 'update_own')?.passes).toBe(true);
    expect(policyOf(moved, 'update_own', 'check')?.passes).toBe(false);
    expect(moved).toMatchObject({
      allowed: false,
      decidedBy: 'Nobody granted app_user update (author_id) on app_public.notes.',
    });
  });

  test('a column that is not granted decides', async () => {
    expect(
      await why({ command: 'insert', values: { org_id: 'org_acme', text: 'x' } }),
    ).toMatchObject({
      allowed: false,
      decidedBy: 'Nobody granted app_user insert (org_id) on app_public.notes.',
    });
    await expect(why({ command: 'insert', values: { 'x"': 1 } })).rejects.toThrow(WhyError);
  });

  test('an update writes them, and is undone', async () => {
    const asked = {
      userId: 'user_alice',
      command: 'update',
      id,
      values: { text: 'Other' },
    } as const;
    expect(await why(asked)).toMatchObject({ allowed: true, tried: true });
    const { rows } = await database.superuser.query(
      'select text from app_public.notes where id = $1',
      [id],
    );
    expect(rows).toEqual([{ text: 'T' }]);
  });

  test.each<[object, string, string[], string]>([
    [{ title: '' }, 'documents_title_check', ['title'], 'documents_title_check on title refuses'],
    [{ title: null }, '', ['title'], 'The column title has to have a value'],
  ])(
    'of what only a constraint or a column refuses, that is named: %j',
    async (values, name, columns, sentence) => {
      const document = await database.superuser.query(
        "insert into app_public.documents (org_id, owner_id, title) values ('org_acme', 'user_bob', 'D') returning id",
      );
      for (const question of [
        { command: 'insert' },
        { command: 'update', id: document.rows[0].id },
      ] as const) {
        const access = await why({ table: 'documents', values: { ...values }, ...question });
        expect(access).toMatchObject({
          allowed: false,
          tried: false,
          refusal: { constraint: name || null, columns },
        });
        expect(access.decidedBy).toContain(sentence);
        expect(renderAccess(access)).toMatch(/tried {4}Postgres refused: .*\(235/);
      }
    },
  );

  test('of what only a trigger refuses, its function is named', async () => {
    await database.superuser.query(`
      create function app_private.tg_notes__refuse() returns trigger language plpgsql as
        $$ begin raise exception 'Not on Mondays.' using errcode = 'RW409'; end $$;
      create trigger _500_refuse before insert on app_public.notes for each row
        when (new.text = 'Monday') execute function app_private.tg_notes__refuse()`);
    const access = await why({ command: 'insert', values: { text: 'Monday' } });
    expect(access).toMatchObject({ allowed: false, refusal: { sqlState: 'RW409' } });
    expect(access.decidedBy).toMatch(/^app_private.tg_notes__refuse\(\).*: Not on Mondays\./);
  });
});

test('without a row, what depends on it is left open', async () => {
  const access = await why({ command: 'update' });
  expect(access).toMatchObject({ allowed: true, row: 'any', tried: null });
  expect(access.decidedBy).toContain('depends on the row');
  expect(policyOf(access, 'update_own')?.condition).toMatchObject({
    answer: 'row',
    parts: [{ answer: 'row' }, { answer: false }],
  });
  expect(policyOf(await why({ command: 'update', role: 'admin' }), 'update_own')?.passes).toBe(
    true,
  );
});

test('a grant that is missing decides before any policy', async () => {
  const access = await why({ table: 'memberships', command: 'delete', id: 'org_acme,user_bob' });
  expect(access).toMatchObject({ allowed: false, tried: false });
  expect(access.decidedBy).toBe('Nobody granted app_user delete on app_public.memberships.');
  expect((await why({ table: 'app_private.workers' })).decidedBy).toBe(
    'Nobody granted app_user usage on schema app_private.',
  );
});

test('subqueries of policies are evaluated as the caller', async () => {
  expect(await why({ table: 'users', id: 'user_alice' })).toMatchObject({
    allowed: true,
    tried: true,
  });
  expect(await why({ table: 'users', id: 'user_carol' })).toMatchObject({
    allowed: false,
    tried: false,
  });
  expect(await why({ table: 'organizations', id: 'org_globex' })).toMatchObject({
    allowed: false,
    tried: false,
  });
  expect(
    await why({ table: 'organizations', id: 'org_globex', userId: 'user_alice' }),
  ).toMatchObject({ allowed: true, tried: true });
});

describe('who is let in by no policy', () => {
  /** A user of their own for each test, since an end is for good. */
  async function member(userId: string) {
    await database.provision({ ...bob, userId });
    return userId;
  }
  const gone = (userId: string, orgId: string) =>
    database.superuser.query('select app_private.apply_clerk_change($1)', [
      JSON.stringify(goneChange({ userId, orgId }, Date.now())),
    ]);

  test.each([
    ['a removed member', (userId: string) => gone(userId, 'org_acme')],
    ['a user who was deleted', (userId: string) => gone(userId, '')],
  ])('%s is denied whatever the policies say, as by the API', async (who, end) => {
    const userId = await member(who.replaceAll(' ', '_'));
    for (const question of [{ command: 'insert' }, { id }, {}] as const) {
      expect(await why({ userId, role: 'member', ...question })).toMatchObject({
        allowed: true,
        shutOut: null,
      });
    }
    await end(userId);
    for (const question of [
      { command: 'insert' },
      { command: 'insert', values: { text: 'X' } },
      { id },
      {},
    ] as const) {
      const access = await why({ userId, role: 'member', ...question });
      expect(access).toMatchObject({ allowed: false, tried: null });
      expect(access.decidedBy).toContain('no longer a member');
      expect(renderAccess(access)).toMatch(/^DENIED .* before any policy/);
    }
  });

  test('nor is anybody into somebody else’s personal space', async () => {
    const userId = await member('user_space');
    await database.provision({ ...bob, userId, orgId: userId, orgRole: '' });
    const access = await why({ orgId: userId, role: 'member', command: 'insert' });
    expect(access).toMatchObject({ allowed: false, shutOut: expect.any(String) });
  });
});

describe('whom the database does not know there', () => {
  test.each<[Partial<WhyQuestion>, string]>([
    [{}, 'without a role'],
    [{ role: 'member', values: { text: 'X' } }, 'in the role member'],
  ])(
    'who is no member is told so, and what a token that says otherwise would get: %j',
    async (more, role) => {
      const access = await why({ userId: 'user_carol', command: 'insert', ...more });
      expect(access).toMatchObject({ allowed: true, unseen: 'membership' });
      expect(renderAccess(access)).toMatch(
        new RegExp(
          `^ALLOWED .*: user_carol is not a member of org_acme, as far as the database knows\\. To a token that says otherwise, ${role}: The policy insert_own`,
        ),
      );
      expect(renderAccess(access)).toContain('member   no: ');
      expect(await why({ command: 'insert' })).toMatchObject({ unseen: null });
    },
  );

  test.each([{}, { values: { text: 'X' } }])(
    'of a personal space that was never used it says what its first request would get: %j',
    async (more) => {
      const access = await why({ orgId: undefined, command: 'insert', ...more });
      expect(access).toMatchObject({ allowed: true, unseen: 'personal space', shutOut: null });
      expect(access.decidedBy).toMatch(
        /^user_bob has not used their personal space yet; .*insert_own/,
      );
      expect(await why({ orgId: undefined, id })).toMatchObject({
        allowed: false,
        rowOrgId: 'org_acme',
      });
      const { rows } = await database.superuser.query(
        "select from app_public.organizations where id = 'user_bob'",
      );
      expect(rows).toEqual([]);
    },
  );
});

test('leaves no trace', async () => {
  const count = async () =>
    (await database.superuser.query('select count(*)::int as n from app_public.audit_events'))
      .rows[0].n;
  const before = await count();
  await why({ id, command: 'delete', userId: bob.userId, role: 'admin' });
  expect(await count()).toBe(before);
});

test.each<[string, Partial<WhyQuestion>, RegExp]>([
  ['an unknown user', { userId: 'user_x' }, /no user "user_x"/],
  ['an unknown organization', { orgId: 'org_x' }, /no organization "org_x"/],
  ['an unknown table', { table: 'spoons' }, /no table "spoons"/],
  ['a table with a strange name', { table: `notes"; drop table x; --` }, /no table/],
  ['an unknown row', { id: '01900000-0000-7000-8000-000000000000' }, /no row/],
  ['what is not of the key’s type', { id: 'x' }, /no id of app_public.notes/],
  ['what is no id', { id: 'a,b,c' }, /no id of app_public.notes, whose key is \(org_id, id\)/],
])('tells of %s', async (_claim, question, message) => {
  await expect(why(question)).rejects.toThrow(WhyError);
  await expect(why(question)).rejects.toThrow(message);
});
