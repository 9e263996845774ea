import { describe, expect, test } from '@jest/globals';
import { readClerkEvent, readListedMembership } from './changes.ts';

const at = Date.parse('2026-01-01T00:00:00Z');
const [iso, later] = [new Date(at).toISOString(), new Date(at + 5).toISOString()];
const always = '1970-01-01T00:00:00.000Z';

const user = {
  id: 'user_ann',
  first_name: 'Ann',
  last_name: 'Adams',
  username: 'ann',
  primary_email_address_id: 'b',
  email_addresses: [
    { id: 'a', email_address: 'a@example.com' },
    { id: 'b', email_address: 'b@example.com' },
  ],
  updated_at: at,
};
const event = (type: string, data: unknown, timestamp: number | undefined = at + 5) =>
  readClerkEvent({ type, data, timestamp }, at + 9);
const changesOf = (type: string, data: unknown) => event(type, data)?.changes;

describe('a user', () => {
  test('has a name and the primary address, as new as Clerk says', () => {
    expect(event('user.updated', user)).toEqual({
      type: 'user.updated',
      versionAt: iso,
      changes: [
        {
          orgId: '',
          userId: 'user_ann',
          bornAt: always,
          isDeleted: false,
          versionAt: iso,
          toldAt: later,
          name: 'Ann Adams',
          email: 'b@example.com',
        },
      ],
    });
  });

  test.each<[string, object, object]>([
    ['a first name alone', { last_name: null }, { name: 'Ann' }],
    ['a user name alone', { first_name: '', last_name: null }, { name: 'ann' }],
    ['no name', { first_name: null, last_name: null, username: null }, { name: null }],
    ['no primary address', { primary_email_address_id: null }, { email: null }],
    ['no addresses', { email_addresses: null }, { email: null }],
    ['a control character', { first_name: 'A\u0000nn\n' }, { name: 'Ann Adams' }],
    ['half a character', { first_name: 'A\ud800' }, { name: 'A\ufffd Adams' }],
    ['a name that is too long', { first_name: 'x'.repeat(300) }, { name: 'x'.repeat(255) }],
    ['a name that is no text', { first_name: 7 }, { name: 'Adams' }],
    ['no time of its own', { updated_at: undefined }, { versionAt: later }],
  ])('with %s', (_, change, expected) => {
    expect(changesOf('user.updated', { ...user, ...change })).toMatchObject([expected]);
  });

  test('that is deleted is gone when the event says so', () => {
    expect(changesOf('user.deleted', { id: 'user_ann', deleted: true })).toEqual([
      {
        orgId: '',
        userId: 'user_ann',
        bornAt: always,
        isDeleted: true,
        versionAt: later,
        toldAt: later,
      },
    ]);
  });
});

describe('a membership', () => {
  const membership = {
    role: 'org:admin',
    created_at: at - 1000,
    updated_at: at,
    organization: { id: 'org_1', name: 'One', slug: 'one', updated_at: at - 500 },
    public_user_data: { user_id: 'user_ann' },
  };

  test('tells of its organization too, as new as that is', () => {
    expect(changesOf('organizationMembership.deleted', membership)).toMatchObject([
      { orgId: 'org_1', userId: '', isDeleted: false, name: 'One' },
      { orgId: 'org_1', userId: 'user_ann', isDeleted: true, role: 'admin' },
    ]);
    expect(readListedMembership(membership, at)).toHaveLength(1);
  });

  test('without a beginning begins when it was last changed', () => {
    const { created_at: _, ...rest } = membership;
    const [, change] = changesOf('organizationMembership.created', rest) ?? [];
    expect(change).toMatchObject({ bornAt: iso });
  });
});

test.each([
  ['user.updated', { ...user, id: 'org_1' }],
  ['user.updated', { ...user, id: 'a b' }],
  ['user.updated', { ...user, updated_at: -1 }],
  ['user.deleted', {}],
  ['organization.deleted', { id: 'user_ann' }],
  ['organizationMembership.created', { role: 'admin' }],
])('%s that cannot be read is told as such: %j', (type, data) => {
  expect(event(type, data)).toEqual({ type, versionAt: later, changes: null });
});

test.each([
  ['session.created', user],
  ['user.exploded', user],
  ['__proto__.created', user],
  ['toString.created', user],
])('%s is not followed', (type, data) => {
  expect(event(type, data)).toBeUndefined();
});

test.each([undefined, null, [], 'text', {}, { type: 7 }])('%j is no event', (body) => {
  expect(readClerkEvent(body, at)).toBeUndefined();
});
