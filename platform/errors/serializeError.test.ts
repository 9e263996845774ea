import { describe, expect, test } from '@jest/globals';
import { RowhouseError } from './registry.ts';
import { serializeError } from './serializeError.ts';

describe('an error in the log', () => {
  test('has its type, message, stack, code and causes', () => {
    const inner = Object.assign(new TypeError('inner'), { code: 'E_INNER' });
    const serialized = serializeError(new RowhouseError('INTERNAL', { cause: inner }));
    expect(serialized).toMatchObject({
      type: 'RowhouseError',
      code: 'INTERNAL',
      message: 'Something went wrong on our side.',
      cause: { type: 'TypeError', message: 'inner', code: 'E_INNER' },
    });
    expect(serialized.stack).toContain('serializeError.test.ts');
  });

  test('keeps the names Postgres gives and none of the values', () => {
    const error = Object.assign(new Error('duplicate key value'), {
      code: '23505',
      constraint: 'users_email_key',
      table: 'users',
      detail: 'Key (email)=(alice@example.com) already exists.',
      where: 'unnamed portal parameter $1 = alice@example.com',
      parameters: ['alice@example.com'],
    });
    const serialized = serializeError(error);
    expect(serialized).toMatchObject({ constraint: 'users_email_key', table: 'users' });
    expect(JSON.stringify(serialized)).not.toContain('alice');
  });

  test('shows no token and no password in its text', () => {
    const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2ln';
    for (const message of [
      `Authorization: Bearer ${token}`,
      `bad token ${token}!`,
      'Bearer opaque-s3cr3t refused',
      'cannot reach postgres://api:s3cr3t@db/rowhouse',
      'cannot reach postgres://api:s3cr/s3cr3t@db/rowhouse',
      'cannot reach https://user:s3cr3t@host/path',
    ]) {
      expect(JSON.stringify(serializeError(new Error(message)))).not.toMatch(/s3cr3t|eyJ/);
    }
  });

  test('keeps paths with an @ in a stack readable', () => {
    const error = new Error('x');
    error.stack = 'Error: x\n at file:///app/node_modules/@scope/pkg/index.js:1:1';
    expect(serializeError(error).stack).toBe(error.stack);
  });

  test('ends, however deep the causes are', () => {
    const error = new Error('ring');
    error.cause = error;
    expect(JSON.stringify(serializeError(error)).split('"ring"')).toHaveLength(7);
  });

  test('lists the errors of several', () => {
    const error = new AggregateError([new Error('one'), new Error('two')], 'both');
    expect(serializeError(error).errors).toMatchObject([{ message: 'one' }, { message: 'two' }]);
  });

  test('is made of anything that can be thrown', () => {
    expect(serializeError('text')).toEqual({ type: 'string', message: 'text' });
    expect(serializeError({ secret: 1 })).toEqual({ type: 'object', message: 'a thrown object' });
    expect(serializeError(undefined).type).toBe('undefined');
  });
});
