import { describe, expect, test } from '@jest/globals';
import {
  codeForSqlState,
  type ErrorDefinition,
  errorCodes,
  isRetryableSqlState,
  RowhouseError,
  sqlStates,
} from './registry.ts';

const definitions = Object.entries<ErrorDefinition>(errorCodes);

describe('the registry', () => {
  test('gives each code one status', () => {
    expect(Object.fromEntries(definitions.map(([code, { status }]) => [code, status]))).toEqual({
      UNAUTHENTICATED: 401,
      FORBIDDEN: 403,
      NOT_FOUND: 404,
      BAD_USER_INPUT: 400,
      BAD_SIGNATURE: 400,
      CONFLICT: 409,
      PAYLOAD_TOO_LARGE: 413,
      UPLOAD_TOO_LARGE: 413,
      UPLOAD_TYPE_NOT_ALLOWED: 415,
      UPLOAD_QUOTA_EXCEEDED: 507,
      UPLOAD_MISSING: 409,
      UPLOAD_SIZE_MISMATCH: 409,
      UPLOAD_CHECKSUM_MISMATCH: 409,
      UPLOAD_TYPE_MISMATCH: 409,
      UPLOAD_EXPIRED: 410,
      UPLOAD_INFECTED: 422,
      AI_TIMEOUT: 504,
      AI_UNAVAILABLE: 503,
      AI_REJECTED: 422,
      AI_BUDGET_EXCEEDED: 402,
      TIMEOUT: 504,
      UNAVAILABLE: 503,
      INTERNAL: 500,
      INTERRUPTED: 503,
    });
  });

  test.each(definitions)('tells what %s means and what to do', (_code, definition) => {
    for (const text of [definition.message, definition.meaning, definition.remedy]) {
      expect(text).toMatch(/^[A-Z].*\.$/);
    }
  });

  test.each(definitions)('says nothing of the inside in the message of %s', (_code, definition) => {
    expect(definition.message).not.toMatch(/sql|postgres|table|policy|constraint|token|clerk/i);
  });
});

describe('SQLSTATE', () => {
  test.each([
    ['23505', 'CONFLICT'],
    ['23503', 'BAD_USER_INPUT'],
    ['23514', 'BAD_USER_INPUT'],
    ['23502', 'BAD_USER_INPUT'],
    ['22P02', 'BAD_USER_INPUT'],
    ['22001', 'BAD_USER_INPUT'],
    ['42501', 'FORBIDDEN'],
    ['57014', 'TIMEOUT'],
    ['40001', 'CONFLICT'],
    ['40P01', 'CONFLICT'],
    ['53300', 'UNAVAILABLE'],
    ['57P01', 'UNAVAILABLE'],
    ['57P03', 'UNAVAILABLE'],
    ['08006', 'UNAVAILABLE'],
    ['RW404', 'NOT_FOUND'],
    ['P0001', undefined],
    ['42P01', undefined],
    ['57P04', undefined],
    ['RW418', undefined],
    ['22', undefined],
    ['ECONNREFUSED', undefined],
    ['', undefined],
    ['__proto__', undefined],
  ])('%s is told as %s', (sqlState, code) => {
    expect(codeForSqlState(sqlState)).toBe(code);
  });

  test('of the class RW names the status of its code', () => {
    for (const { sqlState, code } of sqlStates.filter((row) => row.sqlState.startsWith('RW'))) {
      expect([sqlState, errorCodes[code].status]).toEqual([sqlState, Number(sqlState.slice(2))]);
    }
  });

  test('may be tried again after a lost race or a deadlock, and after nothing else', () => {
    expect(sqlStates.map(({ sqlState }) => sqlState).filter(isRetryableSqlState)).toEqual([
      '40001',
      '40P01',
    ]);
  });
});

describe('RowhouseError', () => {
  test('carries the code, the message for the client, the field and the cause', () => {
    const cause = new Error('inside');
    const error = new RowhouseError('BAD_USER_INPUT', { field: 'title', cause });
    expect(error).toMatchObject({ code: 'BAD_USER_INPUT', field: 'title', cause });
    expect(error.message).toBe('The input is not valid.');
    expect(error.stack).toContain('RowhouseError');
  });

  test('may have a message of its own', () => {
    expect(new RowhouseError('CONFLICT', { message: 'Taken.' }).message).toBe('Taken.');
  });
});
