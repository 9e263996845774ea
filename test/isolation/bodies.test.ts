import { expect, test } from '@jest/globals';
import { unguarded } from './bodies.ts';

test('a body in PL/pgSQL is taken apart by its refusals and conditions', () => {
  const body = `begin
    -- Where and when.
    if a = 'x and y' and (b or c) then
      raise exception 'No; %', a;
    end if;
    update t set d = 1 where t.e = 2 and t.f between 1 and 2;
  end`;
  expect(unguarded(body).map(({ what }) => what)).toEqual([
    "without raise exception 'No; %', a",
    "true for a = 'x and y'",
    'true for (b or c)',
    'true for t.e = 2',
    'true for t.f between 1 and 2',
  ]);
});
