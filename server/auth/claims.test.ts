import { describe, expect, test } from '@jest/globals';
import type { Claims } from '../../db/claims.ts';
import { parseClaims } from './claims.ts';

const session = { sub: 'user_ann', sid: 'sess_1', exp: 1_800_000_060, iat: 1_800_000_000 };
const v2 = { ...session, v: 2, o: { id: 'org_1', rol: 'admin', slg: 'one' } };
const v1 = { ...session, org_id: 'org_1', org_role: 'org:admin', org_slug: 'one' };

const ann: Claims = {
  userId: 'user_ann',
  sessionId: 'sess_1',
  orgId: 'org_1',
  isPersonal: false,
  orgRole: 'admin',
  orgSlug: 'one',
  permissions: [],
  email: null,
  name: null,
  actorId: null,
  firstFactorAtMs: null,
  secondFactorAtMs: null,
  expiresAtMs: 1_800_000_060_000,
};
const annAlone = { ...ann, orgId: 'user_ann', isPersonal: true, orgRole: '', orgSlug: null };

const accepted: [claim: string, payload: object, expected: Claims][] = [
  ['version 2 with an organization', v2, ann],
  [
    'version 2 with permissions',
    { ...v2, fea: 'o:docs', o: { ...v2.o, per: 'manage,read', fpm: '3' } },
    { ...ann, permissions: ['org:docs:manage', 'org:docs:read'] },
  ],
  ['version 2 without an organization', { ...session, v: 2 }, annAlone],
  ['version 2 with a null organization', { ...session, v: 2, o: null }, annAlone],
  ['features without an organization', { ...session, v: 2, fea: 'u:beta,o:docs' }, annAlone],
  ['version 2 over claims of version 1', { ...v1, v: 2 }, annAlone],
  ['version 1 with an organization', v1, ann],
  ['version 1 over claims of version 2', { ...session, o: v2.o }, annAlone],
  ['an older role without prefix', { ...v1, org_role: 'admin' }, ann],
  [
    'version 1 with permissions',
    { ...v1, org_permissions: ['org:docs:read', 'org:docs:read', 'docs', 'org:a:b org:c:d'] },
    { ...ann, permissions: ['org:docs:read'] },
  ],
  ['version 1 without an organization', session, annAlone],
  ['version 1 with a null organization', { ...session, org_id: null, org_role: null }, annAlone],
  [
    'an organization without slug',
    { ...v2, o: { id: 'org_1', rol: 'admin' } },
    { ...ann, orgSlug: null },
  ],
  ['a token without a session', { ...v2, sid: undefined }, { ...ann, sessionId: null }],
  ['an active session', { ...v2, sts: 'active' }, ann],
  [
    'email and name',
    { ...v2, email: 'ann@example.com', name: ' Ann Ångström 🏠 ' },
    { ...ann, email: 'ann@example.com', name: 'Ann Ångström 🏠' },
  ],
  ['a name that is not text', { ...v2, name: { first: 'Ann' }, email: 7 }, ann],
  ['a name with a control character', { ...v2, name: 'A\u0000nn', email: 'a\nb' }, ann],
  ['a name with half a character', { ...v2, name: 'A\ud800' }, ann],
  ['a blank name', { ...v2, name: '  ' }, ann],
  [
    'an impersonator',
    { ...v2, act: { iss: 'x', sid: 's', sub: 'user_bob' } },
    { ...ann, actorId: 'user_bob' },
  ],
  [
    'the ages of both factors',
    { ...v2, fva: [0, 10] },
    { ...ann, firstFactorAtMs: 1_800_000_000_000, secondFactorAtMs: 1_799_999_400_000 },
  ],
  [
    'a factor that was never given',
    { ...v1, fva: [3, -1] },
    { ...ann, firstFactorAtMs: 1_799_999_820_000 },
  ],
  ['ages that are text', { ...v2, fva: ['0', '0'] }, ann],
  ['an age alone', { ...v2, fva: [0] }, ann],
  ['an age that is no number', { ...v2, fva: [Number.NaN, 0] }, ann],
  ['an age in the future', { ...v2, fva: [-2, 0] }, ann],
];

const refused: [claim: string, payload: unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a list', [v2]],
  ['no subject', { ...v2, sub: undefined }],
  ['an empty subject', { ...v2, sub: '' }],
  ['a subject that is a number', { ...v2, sub: 1 }],
  ['a subject with a control character', { ...v2, sub: 'user_\u0000' }],
  ['a subject with a space', { ...v2, sub: 'user a' }],
  ['a subject outside ASCII', { ...v2, sub: 'user_é' }],
  ['a subject of 256 characters', { ...v2, sub: 'u'.repeat(256) }],
  ['an organization as subject', { ...session, sub: 'org_1' }],
  ['a machine as subject', { ...session, sub: 'mch_1' }],
  ['a user as organization', { ...v2, o: { ...v2.o, id: 'user_bob' } }],
  ['the subject as organization', { ...v2, sub: 'ann', o: { ...v2.o, id: 'ann' } }],
  ['an organization without id', { ...v2, o: { rol: 'admin' } }],
  ['an organization without role', { ...v2, o: { id: 'org_1' } }],
  ['an organization with an odd role', { ...v2, o: { ...v2.o, rol: 'admin,member' } }],
  ['a role that is the prefix alone', { ...v2, o: { ...v2.o, rol: 'org:' } }],
  ['an organization that is a list', { ...v2, o: [v2.o] }],
  ['an organization that is text', { ...v2, o: 'org_1' }],
  ['masks that are numbers', { ...v2, fea: 'o:a', o: { ...v2.o, per: 'b', fpm: 1 } }],
  ['features that are a list', { ...v2, fea: ['o:a'] }],
  ['version 1 with an empty organization', { ...v1, org_id: '' }],
  ['version 1 without role', { ...v1, org_role: undefined }],
  ['version 1 with permissions in a text', { ...v1, org_permissions: 'org:a:b' }],
  ['a version of the future', { ...v2, v: 3 }],
  ['a version that is text', { ...v2, v: '2' }],
  ['a null version', { ...v2, v: null }],
  ['no expiry', { ...v2, exp: undefined }],
  ['an expiry that is text', { ...v2, exp: '1800000060' }],
  ['an expiry that is no number', { ...v2, exp: Number.NaN }],
  ['an infinite expiry', { ...v2, exp: Number.POSITIVE_INFINITY }],
  ['a negative expiry', { ...v2, exp: -1 }],
  ['an expiry with a fraction', { ...v2, exp: 1_800_000_060.5 }],
  ['an expiry beyond all calendars', { ...v2, exp: Number.MAX_SAFE_INTEGER }],
  ['no issue time', { ...v2, iat: undefined }],
  ['a null start', { ...v2, nbf: null }],
  ['a session that is a number', { ...v2, sid: 1 }],
  ['a status that is a list', { ...v2, sts: ['pending'] }],
  ['an impersonator without id', { ...v2, act: {} }],
  ['an impersonator that is text', { ...v2, act: 'user_bob' }],
];

describe('parseClaims', () => {
  test.each(accepted)('accepts %s', (_, payload, expected) => {
    expect(parseClaims(payload)).toEqual(expected);
  });

  test.each(refused)('refuses %s', (_, payload) => {
    expect(() => parseClaims(payload)).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED', cause: 'claims' }),
    );
  });

  test('refuses a session that has still to choose an organization', () => {
    expect(() => parseClaims({ ...v2, sts: 'pending' })).toThrow(
      expect.objectContaining({ code: 'UNAUTHENTICATED', cause: 'pending' }),
    );
  });

  test('gives claims that nothing can change', () => {
    const claims = parseClaims({ ...v2, fea: 'o:docs', o: { ...v2.o, per: 'read', fpm: '1' } });
    expect(Object.isFrozen(claims)).toBe(true);
    expect(Object.isFrozen(claims.permissions)).toBe(true);
  });

  test('is not moved by a polluted prototype', () => {
    const payload = JSON.parse('{"__proto__":{"o":{"id":"org_evil","rol":"admin"}},"v":2}');
    expect(parseClaims({ ...session, ...payload })).toEqual(annAlone);
    expect(parseClaims(Object.assign(payload, session))).toEqual(annAlone);
  });
});
