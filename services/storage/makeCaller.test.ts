import { S3ServiceException } from '@aws-sdk/client-s3';
import { describe, expect, jest, test } from '@jest/globals';
import { makeCaller } from './makeCaller.ts';

const failure = (status: number, name = 'Failure') =>
  new S3ServiceException({
    name,
    $fault: status < 500 ? 'client' : 'server',
    $metadata: { httpStatusCode: status },
  });

/** Work that fails so often, and counts how often it was tried. */
function failing(error: unknown, times = Number.POSITIVE_INFINITY) {
  const work = async () => {
    work.tries += 1;
    if (work.tries <= times) throw error;
    return 'done';
  };
  work.tries = 0;
  return work;
}

describe('a call', () => {
  test('is tried three times where it may help', async () => {
    const work = failing(failure(503), 2);
    expect(await makeCaller({ timeoutMs: 1_000 })(work)).toBe('done');
    expect(work.tries).toBe(3);
  });

  test.each([
    [404, 'missing'],
    [412, 'changed'],
    [409, 'changed'],
    [403, 'refused'],
    [400, 'refused'],
  ])('that is answered by %i is not tried again, and is told as %s', async (status, kind) => {
    const work = failing(failure(status));
    await expect(makeCaller({ timeoutMs: 1_000 })(work)).rejects.toMatchObject({ kind });
    expect(work.tries).toBe(1);
  });

  test.each([
    ['an error of the store', failure(500)],
    ['a store that is busy', failure(429)],
    ['a clock that was off', failure(403, 'RequestTimeTooSkewed')],
    ['a broken connection', new Error('ECONNRESET')],
  ])('is tried again after %s, and told as unavailable in the end', async (_, error) => {
    const work = failing(error);
    await expect(makeCaller({ timeoutMs: 1_000 })(work)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(work.tries).toBe(3);
  });

  test('tells once that the store is down, and once that it is back', async () => {
    const told: boolean[] = [];
    const call = makeCaller({ timeoutMs: 1_000, onBreaker: (isOpen) => told.push(isOpen) });
    const fail = () => call(failing(failure(500)), { mayRepeat: false }).catch(() => {});
    for (let i = 0; i < 12; i += 1) await fail();
    expect(told).toEqual([true]);
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_000);
    await fail();
    expect(told).toEqual([true]);
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_000);
    await call(failing(failure(500), 0));
    jest.restoreAllMocks();
    expect(told).toEqual([true, false]);
  });

  test('that must not happen twice is tried once', async () => {
    const work = failing(failure(500));
    await expect(
      makeCaller({ timeoutMs: 1_000 })(work, { mayRepeat: false }),
    ).rejects.toBeDefined();
    expect(work.tries).toBe(1);
  });

  test('that hangs is ended at its time limit', async () => {
    const call = makeCaller({ timeoutMs: 20, deadlineMs: 50 });
    const hang = (signal: AbortSignal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    await expect(call(hang)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('of a task that is over ends as the task says', async () => {
    const control = new AbortController();
    const over = new Error('over');
    const hang = (signal: AbortSignal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const called = makeCaller({ timeoutMs: 10_000 })(hang, { signal: control.signal });
    control.abort(over);
    await expect(called).rejects.toBe(over);
  });
});

describe('a store that is down', () => {
  test('is not asked for a while', async () => {
    const call = makeCaller({ timeoutMs: 1_000 });
    const work = failing(failure(500));
    for (let i = 0; i < 20; i += 1) await call(work).catch(() => {});
    expect(work.tries).toBe(8);
  });

  test('is one that fails for more than one object: what one does keeps no other waiting', async () => {
    const told: boolean[] = [];
    const call = makeCaller({ timeoutMs: 1_000, onBreaker: (isOpen) => told.push(isOpen) });
    const bad = failing(failure(500));
    for (let i = 0; i < 30; i += 1) await call(bad, { key: 'bad' }).catch(() => {});
    expect(await call(failing(failure(500), 0), { key: 'good' })).toBe('done');
    expect(told).toEqual([]);
    for (let i = 0; i < 20; i += 1) {
      await call(failing(failure(500)), { key: `bad ${i}` }).catch(() => {});
    }
    expect(told).toEqual([true]);
  });

  test('gets no more retries than a tenth of what succeeded, after the first ten', async () => {
    const call = makeCaller({ timeoutMs: 1_000 });
    let tries = 0;
    // Each call fails once and succeeds again, if it may.
    for (let i = 0; i < 40; i += 1) {
      let isFirst = true;
      await call(async () => {
        tries += 1;
        if (isFirst) {
          isFirst = false;
          throw failure(503);
        }
      }).catch(() => {});
    }
    expect(tries).toBeLessThan(40 + 10 + 4);
  });
});
