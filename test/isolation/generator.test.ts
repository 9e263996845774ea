import { expect, test } from '@jest/globals';
import { buildSchema } from 'postgraphile/graphql';
import { makeRandom } from '../support/tcpProxy.ts';
import { makeGenerator, partsOf, Unprovable } from './generator.ts';
import { Knowledge, strangerOf } from './knowledge.ts';

const thrownBy = (sdl: string) => {
  try {
    return partsOf(buildSchema(sdl));
  } catch (error) {
    return error;
  }
};

test('what cannot be asked for fails, and says what to add where', () => {
  const odd = thrownBy('type Query { a(b: In): Int } input In { c: [Odd!] } scalar Odd');
  expect(odd).toBeInstanceOf(Unprovable);
  expect(String(odd)).toMatch(/no value of the scalar Odd.*scalarValues.*generator\.ts/);
  const live = thrownBy('type Query { a: Int } type Subscription { a: Int }');
  expect(String(live)).toMatch(/subscriptions.*proof\.ts/);
});

test('a schema is every field, argument, input field and enum value that can be reached', () => {
  const sdl = `
    type Query { a(b: In, c: Color): Pet } type Mutation { d: Dog }
    input In { x: Int } enum Color { RED } interface Pet { name: String } type Dog implements Pet { name: String }
    type Alone { y: Int }`;
  expect([...partsOf(buildSchema(sdl))].sort()).toEqual(
    ['Color.RED', 'Dog.name', 'In.x', 'Mutation.d', 'Query.a', 'Query.a(b)', 'Query.a(c)'].sort(),
  );
});

test('the same seed makes the same operations', () => {
  const schema = buildSchema('type Query { a(b: Int, c: String): Int d(e: Boolean!): Query }');
  const made = (seed: number) => {
    const draw = makeRandom(seed);
    const generator = makeGenerator(schema, new Knowledge(), () => true);
    return Array.from({ length: 20 }, () => JSON.stringify(generator.next(draw)));
  };
  expect(made(7)).toEqual(made(7));
  expect(made(7)).not.toEqual(made(8));
});

test('an invented id has the type and the shape of a known one', () => {
  const known = Buffer.from('["Document","019a0000-0000-7000-8000-00000000000a"]').toString(
    'base64',
  );
  const other = strangerOf(known, makeRandom(1));
  expect(other).not.toBe(known);
  expect(Buffer.from(other, 'base64').toString()).toMatch(
    /^\["Document","[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"\]$/,
  );
});
