import { expect, test } from '@jest/globals';
import { selfTimes } from './selfTimes.ts';

const frame = (functionName: string, url = '', lineNumber = 0) => ({
  functionName,
  url,
  lineNumber,
});

test('a function has the time of its own samples, and of the same function called from elsewhere', () => {
  const nodes = [
    { id: 1, callFrame: frame('plan', 'file:///x/node_modules/grafast/dist/plan.js', 9) },
    { id: 2, callFrame: frame('plan', 'file:///x/node_modules/grafast/dist/plan.js', 9) },
    { id: 3, callFrame: frame('send', 'file:///x/node_modules/@dataplan/pg/dist/send.js', 0) },
  ];
  const times = selfTimes({ nodes, samples: [1, 2, 3], timeDeltas: [1_000, 500, 250] });
  expect(times).toEqual([
    { owner: 'grafast', name: 'plan', place: 'plan.js:10', selfMs: 1.5 },
    { owner: '@dataplan/pg', name: 'send', place: 'send.js:1', selfMs: 0.25 },
  ]);
});

test('time is owned by the package installed deepest, our folder, Node or V8; idle time by nobody', () => {
  const urls: [string, string, string][] = [
    ['a', 'file:///x/node_modules/pg/node_modules/pg-types/index.js', 'pg-types'],
    ['b', 'file:///x/db/scope/settings.ts', 'db/scope'],
    ['c', 'file:///x/server/preset.ts', 'server'],
    ['d', 'node:net', 'node'],
    ['(garbage collector)', '', '(garbage collector)'],
    ['writev', '', 'v8 and node (native)'],
  ];
  const nodes = [...urls, ['(idle)', '', '']].map(([name = '', url], id) => ({
    id,
    callFrame: frame(name, url),
  }));
  const times = selfTimes({
    nodes,
    samples: nodes.map(({ id }) => id),
    timeDeltas: nodes.map(() => 1_000),
  });
  expect(times.map(({ name, owner }) => [name, owner])).toEqual(
    urls.map(([name, , owner]) => [name, owner]),
  );
});
