import { expect, test } from '@jest/globals';
import { makeFairShare } from './fairShare.ts';

/** Takes a job of an organization, unless it is forbidden. */
async function take(share: ReturnType<typeof makeFairShare>, orgId: string): Promise<boolean> {
  const forbidden = await share.forbiddenFlags();
  const isForbidden = forbidden?.includes(`org:${orgId}`) ?? false;
  if (!isForbidden) share.started(orgId);
  share.looked();
  return !isForbidden;
}

test('leaves one place to others where the jobs of an organization are not known to be short', async () => {
  const share = makeFairShare(4);
  expect([await take(share, 'a'), await take(share, 'a'), await take(share, 'a')]).toEqual([
    true,
    true,
    true,
  ]);
  expect(await take(share, 'a')).toBe(false);
  expect(await take(share, 'b')).toBe(true);
});

test('lets short jobs take every place', async () => {
  const share = makeFairShare(2);
  await take(share, 'a');
  share.ended('a', 5);
  expect([await take(share, 'a'), await take(share, 'a')]).toEqual([true, true]);
});

test('keeps the place free again when they have become long', async () => {
  const share = makeFairShare(2);
  await take(share, 'a');
  share.ended('a', 5);
  for (let i = 0; i < 3; i += 1) {
    await take(share, 'a');
    share.ended('a', 3_000);
  }
  expect([await take(share, 'a'), await take(share, 'a')]).toEqual([true, false]);
});

test('asked for every place at once, lets the last wait for what the others find', async () => {
  const share = makeFairShare(3);
  const asked = [share.forbiddenFlags(), share.forbiddenFlags(), share.forbiddenFlags()];
  expect(await asked[0]).toEqual([]);
  expect(await asked[1]).toEqual([]);
  for (let i = 0; i < 2; i += 1) {
    share.started('a');
    share.looked();
  }
  expect(await asked[2]).toEqual(['org:a']);
});

test('waits for nobody once it is closed, and shares nothing where there is one place', async () => {
  const share = makeFairShare(2);
  const asked = [share.forbiddenFlags(), share.forbiddenFlags()];
  share.close();
  await Promise.all(asked);
  expect(makeFairShare(1).forbiddenFlags()).toBeNull();
});
