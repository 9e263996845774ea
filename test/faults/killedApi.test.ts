import { expect, test } from '@jest/globals';
import { killApi } from './killApi.ts';

const kills = Number(process.env.API_KILLS ?? 200);
const perSecond = Number(process.env.API_MUTATIONS ?? 100);

test(`the API is killed ${kills} times under ${perSecond} mutations a second: what it acknowledged is kept, with its jobs`, async () => {
  const { readyMs, sent, acknowledged, ...found } = await killApi({ kills, perSecond });
  const at = (share: number) => Math.round(readyMs[Math.floor(readyMs.length * share)] ?? 0);
  const ready = { p50: at(0.5), p95: at(0.95), max: Math.round(readyMs.at(-1) ?? 0) };
  process.stdout.write(
    `killed API: ${JSON.stringify({ kills, sent, acknowledged, readyMs: ready })}\n`,
  );
  expect(found).toEqual({ lost: [], unasked: [], unindexed: [], dead: 0 });
  expect(acknowledged).toBeGreaterThan(kills);
  // The others are told, not judged: the load goes on while it starts, on the same machine.
  expect(ready.p50).toBeLessThan(3_000);
}, 3_600_000);
