import { describe, expect, test } from '@jest/globals';
import { encodePermissions } from '../../dev/signToken.ts';
import { decodePermissions, onlyWellFormed } from './permissions.ts';

const sixtyNames = Array.from({ length: 60 }, (_, index) => `p${index}`).join(',');

type Case = [claim: string, fea: string | null, per: string | null, fpm: string | null, string[]];

const cases: Case[] = [
  [
    "Clerk's own example",
    'o:dashboard,o:teams',
    'manage,read',
    '3,2',
    ['org:dashboard:manage', 'org:dashboard:read', 'org:teams:read'],
  ],
  ['the least significant bit is the first name', 'o:docs', 'a,b,c', '1', ['org:docs:a']],
  ['the highest bit is the last name', 'o:docs', 'a,b,c', '4', ['org:docs:c']],
  ['a mask of zero grants nothing', 'o:docs', 'a,b', '0', []],
  [
    'masks count organization features only',
    'u:beta,o:docs,u:gold,o:teams',
    'read,write',
    '1,2',
    ['org:docs:read', 'org:teams:write'],
  ],
  [
    'features of user and organization count, in either spelling',
    'ou:docs,uo:teams,o:files',
    'read',
    '1,1,1',
    ['org:docs:read', 'org:teams:read', 'org:files:read'],
  ],
  ['other scopes do not count', 'x:docs,oo:a,org:b,o:teams', 'read', '1', ['org:teams:read']],
  [
    'spaces around parts do not matter',
    ' o:docs , o:teams ',
    ' read ',
    ' 0 , 1 ',
    ['org:teams:read'],
  ],
  ['a missing mask grants nothing', 'o:docs,o:teams', 'read', '1', ['org:docs:read']],
  ['a surplus mask grants nothing', 'o:docs', 'read', '1,1,1', ['org:docs:read']],
  ['an empty mask keeps its place', 'o:docs,o:teams', 'read', ',1', ['org:teams:read']],
  ['an unreadable mask keeps its place', 'o:docs,o:teams', 'read', 'x,1', ['org:teams:read']],
  ['a negative mask grants nothing', 'o:docs', 'read,write', '-1', []],
  ['a hexadecimal mask grants nothing', 'o:docs', 'read,write', '0x3', []],
  ['an exponent grants nothing', 'o:docs', 'read,write', '1e0', []],
  ['a fraction grants nothing', 'o:docs', 'read,write', '1.0', []],
  [
    'leading zeros are harmless',
    'o:docs',
    'read,write',
    '0003',
    ['org:docs:read', 'org:docs:write'],
  ],
  ['bits without a name grant nothing', 'o:docs', 'read', '255', ['org:docs:read']],
  ['a feature without a name grants nothing', 'o:,o,o:docs', 'read', '1,1,1', ['org:docs:read']],
  [
    'a nameless permission grants nothing',
    'o:docs',
    'read,,write',
    '7',
    ['org:docs:read', 'org:docs:write'],
  ],
  ['a name that would break out grants nothing', 'o:docs', 'read write', '1', []],
  ['a doubled feature grants once', 'o:docs,ou:docs', 'read', '1,1', ['org:docs:read']],
  // 2^59 + 2^53 + 1: as a number the last bit would be lost.
  [
    'masks above 2^53 keep every bit',
    'o:docs',
    sixtyNames,
    (2n ** 59n + 2n ** 53n + 1n).toString(),
    ['org:docs:p0', 'org:docs:p53', 'org:docs:p59'],
  ],
  ['no features', null, 'read', '1', []],
  ['no names', 'o:docs', null, '1', []],
  ['no masks', 'o:docs', 'read', null, []],
  ['empty texts', '', '', '', []],
];

describe('decodes permissions as Clerk does', () => {
  test.each(cases)('%s', (_, fea, per, fpm, expected) => {
    expect(decodePermissions({ fea, per, fpm })).toEqual(expected);
  });

  test('gives back whatever set was encoded', () => {
    const random = makeRandom(20261122);
    for (let round = 0; round < 500; round += 1) {
      const features = randomNames(random, 1 + random(12));
      const names = randomNames(random, 1 + random(90));
      const permissions = features
        .flatMap((feature) => names.map((name) => `org:${feature}:${name}`))
        .filter(() => random(3) === 0);
      expect(decodePermissions(encodePermissions(permissions)).sort()).toEqual(permissions.sort());
    }
  });
});

test('keeps distinct well-formed permissions of a list', () => {
  const listed = ['org:a:b', 'org:a:b', 'a:b', 'org:a', 'org:a:b,org:c:d', 'org:a:b\n', 'org:c:d'];
  expect(onlyWellFormed(listed)).toEqual(['org:a:b', 'org:c:d']);
});

/** A small generator (mulberry32), so that a failing round can be repeated. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomNames(random: (below: number) => number, count: number): string[] {
  const names = new Set<string>();
  while (names.size < count) names.add(`${'abcdefgh'[random(8)]}${random(100_000)}`);
  return [...names];
}
