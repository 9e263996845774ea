import { describe, expect, test } from '@jest/globals';
import { makeLogSink } from './logSink.ts';
import type { JobFinished, Observation, RequestFinished } from './observer.ts';

const request: RequestFinished = {
  type: 'requestFinished',
  requestId: 'r1',
  method: 'POST',
  route: '/graphql',
  status: 200,
  durationMs: 3,
  operationName: 'Me',
  operationType: 'query',
  errorCode: null,
  userHash: 'a'.repeat(16),
  orgHash: 'b'.repeat(16),
};

const job: JobFinished = {
  type: 'jobFinished',
  task: 'documents__index',
  jobId: '1',
  attempt: 1,
  durationMs: 5,
  outcome: 'succeeded',
  orgHash: null,
};

function lineOf(observation: Observation) {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) =>
    lines.push({ level, fields, message });
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  makeLogSink(log)(observation);
  expect(lines).toHaveLength(1);
  return lines[0];
}

describe('a log line', () => {
  test('has what was observed of a request', () => {
    const { type: _, ...fields } = request;
    expect(lineOf(request)).toEqual({ level: 'info', message: 'request', fields });
  });

  test('warns of requests that failed on our side', () => {
    expect(lineOf({ ...request, status: 503 })?.level).toBe('warn');
    expect(lineOf({ ...request, status: 404 })?.level).toBe('info');
  });

  test('of a probe is written only for debugging', () => {
    expect(lineOf({ ...request, route: '/readyz', status: 503 })?.level).toBe('debug');
  });

  test('names the cause of a refusal', () => {
    expect(lineOf({ type: 'requestRefused', requestId: 'r1', cause: 'expired' })?.fields).toEqual({
      requestId: 'r1',
      cause: 'expired',
    });
  });

  test('of a masked error holds the error where the logger serializes it', () => {
    const error = new Error('inside');
    expect(lineOf({ type: 'errorMasked', requestId: 'r1', error })).toEqual({
      level: 'error',
      message: 'error masked',
      fields: { requestId: 'r1', err: error },
    });
  });

  test('of a job is as loud as its outcome', () => {
    const error = new Error('inside');
    expect(lineOf(job)).toMatchObject({ level: 'info', fields: { task: 'documents__index' } });
    expect(lineOf({ ...job, outcome: 'failed', error })).toMatchObject({
      level: 'warn',
      fields: { err: error },
    });
    expect(lineOf({ ...job, outcome: 'dead', error })?.level).toBe('error');
  });

  test('of files is an error where bytes are gone, and warns of orphans and of a store that is down', () => {
    const compared = {
      type: 'filesReconciled',
      resumed: 0,
      orphans: 0,
      lost: 0,
      durationMs: 1,
    } as const;
    expect(lineOf(compared)?.level).toBe('info');
    expect(lineOf({ ...compared, orphans: 1 })?.level).toBe('warn');
    expect(lineOf({ ...compared, lost: 1 })?.level).toBe('error');
    expect(lineOf({ type: 'storeBreaker', isOpen: true })?.level).toBe('warn');
    expect(lineOf({ type: 'storeBreaker', isOpen: false })?.level).toBe('info');
  });
});
