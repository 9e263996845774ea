import { describe, expect, test } from '@jest/globals';
import { type Condition, sidesOf, takeApart } from './whyExpression.ts';

const leaf = (text: string) => ({ kind: 'leaf', text });

describe('a condition', () => {
  test.each<[string, unknown]>([
    ['true', leaf('true')],
    ['((a = 1))', leaf('a = 1')],
    [
      '((a = 1) AND (b = 2))',
      { kind: 'and', text: '(a = 1) AND (b = 2)', parts: [leaf('a = 1'), leaf('b = 2')] },
    ],
    ["(name = 'this OR that')", leaf("name = 'this OR that'")],
    ["(name = 'it''s OR (')", leaf("name = 'it''s OR ('")],
    ["(name = E'a\\' OR \\\\')", leaf("name = E'a\\' OR \\\\'")],
    ['("a OR b" = 1)', leaf('"a OR b" = 1')],
    ['("or" = 1)', leaf('"or" = 1')],
    ['(border = android)', leaf('border = android')],
    ['( SELECT (a OR b))', leaf('(SELECT (a OR b))')],
    [
      '( SELECT true FROM m WHERE ((m.a = 1) AND (m.b = 2)))',
      leaf('(SELECT true FROM m WHERE ((m.a = 1) AND (m.b = 2)))'),
    ],
    ['(EXISTS ( SELECT 1 WHERE (a OR b)))', leaf('EXISTS ( SELECT 1 WHERE (a OR b))')],
    ['(NOT (a OR b))', leaf('NOT (a OR b)')],
    [
      'CASE WHEN (a AND b) THEN c OR d ELSE e END',
      leaf('CASE WHEN (a AND b) THEN c OR d ELSE e END'),
    ],
    ['(id = ANY (ARRAY[a OR b]))', leaf('id = ANY (ARRAY[a OR b])')],
    [
      '(a = 1) OR (b = 2)',
      { kind: 'or', text: '(a = 1) OR (b = 2)', parts: [leaf('a = 1'), leaf('b = 2')] },
    ],
    [
      'a OR b AND c',
      {
        kind: 'or',
        text: 'a OR b AND c',
        parts: [leaf('a'), { kind: 'and', text: 'b AND c', parts: [leaf('b'), leaf('c')] }],
      },
    ],
  ])('%s is taken apart where it may be', (text, parts) => {
    expect(takeApart(text)).toEqual(parts);
  });

  test('of any shape comes back as it was put together', () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const condition = randomCondition(makeRandom(seed), 4);
      expect({ seed, found: shapeOf(takeApart(written(condition))) }).toEqual({
        seed,
        found: shapeOf(condition),
      });
    }
  });
});

test.each<[string, [string, string] | null]>([
  ['owner_id = ( SELECT f() AS f)', ['owner_id', '( SELECT f() AS f)']],
  ["a = 'x = y'", ['a', "'x = y'"]],
  ['a >= b', null],
  ['id = ANY (ARRAY( SELECT x WHERE (y = 1)))', ['id', 'ANY (ARRAY( SELECT x WHERE (y = 1)))']],
  ['(a = b) IS NULL', null],
  ['f(a = b)', null],
])('the sides of %s', (text, sides) => {
  expect(sidesOf(text)).toEqual(sides);
});

const leaves = [
  'a',
  '"or"',
  '"and" = 1',
  "b = 'x OR y'",
  "c = 'it''s AND ('",
  "d = E'\\' OR '",
  'e = ANY (ARRAY[1, 2])',
  'f((a OR b), ")")',
  'NOT (a AND b)',
  '(SELECT m.a FROM m WHERE ((m.b = 1) OR m.c))',
  'EXISTS ( SELECT 1 WHERE (a AND b))',
  'CASE WHEN (a OR b) THEN (c AND d) ELSE e END',
  "(data ->> 'or'::text) = 'and'::text",
  'ordinal = 2',
  'g IS NOT NULL',
];

function randomCondition(random: () => number, depth: number): Condition {
  if (depth === 0 || random() < 0.4) {
    return { kind: 'leaf', text: leaves[Math.floor(random() * leaves.length)] ?? 'a' };
  }
  const kind = random() < 0.5 ? 'and' : 'or';
  const parts = Array.from({ length: 2 + Math.floor(random() * 3) }, () => {
    const part = randomCondition(random, depth - 1);
    // Brackets around a part of the same kind are what Postgres never writes.
    return part.kind === kind ? ({ kind: 'leaf', text: 'h' } as const) : part;
  });
  return { kind, text: '', parts };
}

/** As Postgres writes it: each operation in brackets. */
const written = (condition: Condition): string =>
  condition.kind === 'leaf'
    ? `(${condition.text})`
    : `(${condition.parts.map(written).join(` ${condition.kind.toUpperCase()} `)})`;

const shapeOf = (condition: Condition): unknown =>
  condition.kind === 'leaf' ? condition.text : { [condition.kind]: condition.parts.map(shapeOf) };

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
