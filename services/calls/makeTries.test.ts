import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { isDown, makeTries, type Tries } from './makeTries.ts';

/** What fails is the other side; anything else is a mistake of ours. */
class Failure extends Error {}

const asksAgainMs = 60;

function open(): { tries: Tries; told: boolean[] } {
  const told: boolean[] = [];
  const tries = makeTries({
    timeoutMs: 40,
    breaksAfter: 2,
    asksAgainMs,
    isFailure: (error) => !(error instanceof TypeError),
    isOurs: (error) => error instanceof TypeError,
    mayPass: () => false,
    onDown: (isDownNow) => told.push(isDownNow),
  });
  return { tries, told };
}

const fail = () => Promise.reject(new Failure());
const neverEnds = () => new Promise<never>(() => {});

/** Fails until the other side counts as down, and waits until it may be asked again. */
async function breakDown({ tries }: { tries: Tries }) {
  for (let i = 0; i < 2; i += 1) await expect(tries.run(fail)).rejects.toBeInstanceOf(Failure);
  expect(tries.isClosedToWork()).toBe(true);
  await sleep(asksAgainMs + 10);
  expect(tries.isClosedToWork()).toBe(false);
}

test('no try outlives its time, though the work does not hear its signal, and it counts', async () => {
  const { tries, told } = open();
  for (let i = 0; i < 2; i += 1) {
    await expect(tries.run(neverEnds)).rejects.toMatchObject({ name: 'TimeoutError' });
  }
  expect(told).toEqual([true]);
  expect(tries.isClosedToWork()).toBe(true);
});

test.each<[string, (tries: Tries) => Promise<unknown>]>([
  ['nobody waited for', (tries) => tries.run(neverEnds, { deadlineMs: 5 })],
  ['was a mistake of ours', (tries) => tries.run(() => Promise.reject(new TypeError()))],
])('the other side is not back where what was to find out %s', async (_what, probe) => {
  const opened = open();
  await breakDown(opened);
  await probe(opened.tries).catch(() => {});
  expect(opened.told).toEqual([true]);
  expect(opened.tries.isClosedToWork()).toBe(true);
});

test('it is back where that was answered, be it with a no', async () => {
  const opened = makeTries({
    timeoutMs: 1_000,
    breaksAfter: 1,
    asksAgainMs: 20,
    isFailure: (error) => error instanceof Failure,
  });
  await expect(opened.run(fail)).rejects.toBeInstanceOf(Failure);
  await sleep(30);
  const no = new Error('No.');
  await expect(opened.run(() => Promise.reject(no))).rejects.toBe(no);
  expect(opened.isClosedToWork()).toBe(false);
});

test('nobody waits behind the one that finds out whether it is back', async () => {
  const opened = open();
  await breakDown(opened);
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = opened.tries.run(() => promise);
  const refused = await opened.tries.run(() => Promise.resolve('sent')).catch((error) => error);
  expect(isDown(refused)).toBe(true);
  resolve('back');
  expect(await first).toBe('back');
  expect(opened.told).toEqual([true, false]);
  expect(await opened.tries.run(() => Promise.resolve('sent'))).toBe('sent');
});
