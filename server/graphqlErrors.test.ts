import { describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { SafeError } from 'postgraphile/grafast';
import { GraphQLError } from 'postgraphile/graphql';
import { errorCodes, RowhouseError } from '../platform/errors/registry.ts';
import { codedError, told, toldByKind } from './graphqlErrors.ts';

/** An error of a resolver, as it reaches the answer. */
function wrapped(cause: Error): GraphQLError {
  return new GraphQLError(cause.message, { originalError: cause, path: ['documents', 0] });
}

function postgresError(code: string, fields: Partial<DatabaseError> = {}): DatabaseError {
  const error = new DatabaseError('relation "app_private.secret" of role x', 0, 'error');
  return Object.assign(error, { code, severity: 'ERROR', ...fields });
}

function connectionError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.7:5432`), { code });
}

const masked = { code: 'INTERNAL', message: errorCodes.INTERNAL.message };

describe('of an error is told', () => {
  test('all that our own code says', () => {
    const cause = new RowhouseError('CONFLICT', { message: 'Taken.', field: 'title' });
    expect(told(wrapped(cause))).toEqual({ code: 'CONFLICT', message: 'Taken.', field: 'title' });
  });

  test('what our own SQL says, with its hint as the field', () => {
    const cause = postgresError('RW400', { message: 'Too long.', hint: 'title' });
    expect(told(wrapped(cause))).toEqual({
      code: 'BAD_USER_INPUT',
      message: 'Too long.',
      field: 'title',
    });
  });

  test.each([
    ['23514', { table: 'documents', constraint: 'documents_title_check' }, 'title'],
    ['23514', { table: 'documents', constraint: 'documents_byte_size_check' }, 'byteSize'],
    ['23503', { table: 'notes', constraint: 'notes_document_id_fkey' }, 'document'],
    ['23503', { table: 'notes', constraint: 'notes_org_id_document_id_fkey' }, undefined],
    ['23502', { table: 'documents', column: 'owner_id' }, 'owner'],
    ['23514', { table: 'documents', constraint: 'something_else' }, undefined],
    ['22P02', {}, undefined],
  ])('%s: which field it is, if a name says so: %j', (code, fields, field) => {
    const { message, ...rest } = told(wrapped(postgresError(code, fields)));
    if (field !== undefined) {
      expect(rest).toEqual({ code: 'BAD_USER_INPUT', field });
      expect(message).toBe(`The value of \`${field}\` is not allowed.`);
    } else {
      expect(rest.code).toBe('BAD_USER_INPUT');
    }
    expect(message).not.toContain('secret');
  });

  test.each([
    ['42501', 'FORBIDDEN'],
    ['23505', 'CONFLICT'],
    ['40001', 'CONFLICT'],
    ['57014', 'TIMEOUT'],
    ['57P01', 'UNAVAILABLE'],
    ['53300', 'UNAVAILABLE'],
    ['25006', 'UNAVAILABLE'],
    ['53100', 'UNAVAILABLE'],
    ['08006', 'UNAVAILABLE'],
    ['42P01', 'INTERNAL'],
    ['P0001', 'INTERNAL'],
    ['XX000', 'INTERNAL'],
  ] as const)('%s: %s, in the words of the registry alone', (sqlState, code) => {
    const { message } = errorCodes[code];
    expect(told(wrapped(postgresError(sqlState)))).toEqual({ code, message });
  });

  test.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND'])(
    '%s: that it is not available, and no address',
    (code) => {
      const { message } = errorCodes.UNAVAILABLE;
      expect(told(wrapped(connectionError(code)))).toEqual({ code: 'UNAVAILABLE', message });
    },
  );

  test('what Graphile marks as safe', () => {
    const cause = new SafeError('Invalid cursor.');
    expect(told(wrapped(cause))).toEqual({ code: 'BAD_USER_INPUT', message: 'Invalid cursor.' });
  });

  test('all that is wrong with a document or its variables', () => {
    const invalid = new GraphQLError('Cannot query field "x".');
    expect(told(invalid)).toEqual({ code: 'BAD_USER_INPUT', message: 'Cannot query field "x".' });
    const inside = new GraphQLError('ID cannot represent value: {}');
    const variable = new GraphQLError('Variable "$id" got invalid value {}', {
      originalError: inside,
    });
    expect(told(variable)).toMatchObject({ code: 'BAD_USER_INPUT', message: variable.message });
  });

  test('nothing of anything else', () => {
    for (const cause of [
      new Error('ENOENT: /var/lib/secret'),
      new TypeError('x is undefined'),
      connectionError('EACCES'),
    ]) {
      expect(told(wrapped(cause))).toEqual(masked);
    }
    expect(told(new GraphQLError('inner', { path: ['a'] }))).toEqual(masked);
    expect(told(new GraphQLError('inner', { originalError: new Error('outer') }))).toEqual(masked);
    for (const thrown of [undefined, null, 'text', 7, {}, { code: '23505', severity: 'ERROR' }]) {
      expect(toldByKind(thrown)).toEqual(masked);
    }
  });
});

describe('a coded error', () => {
  test('keeps where it happened, and gets its code and request id', () => {
    const coded = codedError(wrapped(new RowhouseError('NOT_FOUND')), 'request-1');
    expect(JSON.parse(JSON.stringify(coded))).toEqual({
      message: errorCodes.NOT_FOUND.message,
      path: ['documents', 0],
      extensions: { code: 'NOT_FOUND', requestId: 'request-1' },
    });
  });

  test('drops the extensions that it came with', () => {
    const cause = new Error('inner');
    const error = new GraphQLError('inner', {
      originalError: cause,
      path: ['a'],
      extensions: { stack: 'at /srv/app', sql: 'select 1' },
    });
    const coded = codedError(error, 'request-1');
    expect(coded.extensions).toEqual({ code: 'INTERNAL', requestId: 'request-1' });
    expect(coded.originalError).toBe(cause);
  });
});
