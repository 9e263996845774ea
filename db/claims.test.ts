import { describe, expect, test } from '@jest/globals';
import { type Caller, pgSettings } from './claims.ts';

const caller: Caller = {
  userId: 'user_alice',
  orgId: 'org_acme',
  orgRole: 'admin',
  permissions: ['org:docs:manage', 'org:audit:read'],
  firstFactorAtMs: 1_800_000_000_999,
  secondFactorAtMs: null,
};

describe('the settings of a caller', () => {
  test('hold every claim under its name', () => {
    expect(pgSettings(caller, 'request-1')).toEqual({
      role: 'app_user',
      transaction_read_only: 'off',
      'jwt.user_id': 'user_alice',
      'jwt.org_id': 'org_acme',
      'jwt.org_role': 'admin',
      'jwt.permissions': 'org:docs:manage,org:audit:read',
      'jwt.first_factor_at': '1800000000',
      'jwt.second_factor_at': '',
      'jwt.actor_id': '',
      'app.request_id': 'request-1',
      'app.trace_id': '',
    });
  });

  test('have the same names, as text, when claims are absent: nothing earlier can show through', () => {
    const absent = pgSettings({ userId: '', orgId: '', orgRole: '', permissions: [] }, '');
    expect(Object.keys(absent)).toEqual(Object.keys(pgSettings(caller, 'request-1')));
    expect(absent).toEqual({
      role: 'app_user',
      transaction_read_only: 'off',
      'jwt.user_id': '',
      'jwt.org_id': '',
      'jwt.org_role': '',
      'jwt.permissions': '',
      'jwt.first_factor_at': '',
      'jwt.second_factor_at': '',
      'jwt.actor_id': '',
      'app.request_id': '',
      'app.trace_id': '',
    });
  });

  test('let a read only read', () => {
    expect(pgSettings(caller, '', 'read').transaction_read_only).toBe('on');
    expect(pgSettings(caller, '', 'write').transaction_read_only).toBe('off');
  });

  test('are of the role app_user, whatever the token says', () => {
    expect(pgSettings({ ...caller, orgRole: 'postgres' }, '').role).toBe('app_user');
  });
});
