import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeRandom } from '../support/tcpProxy.ts';
import { makeGenerator } from './generator.ts';
import { Knowledge } from './knowledge.ts';
import { takeChanges } from './oracles.ts';
import { openWorld, type Seat, silenceGrafast, type World } from './world.ts';

/** Whoever is no member any more: what their token, valid for a while, still asks for. */

let world: World;
let seat: Seat;
beforeAll(async () => {
  silenceGrafast();
  world = await openWorld({ others: 1, names: ['Alice of Acme'] });
  [seat] = world.seats as [Seat];
}, 60_000);
afterAll(() => world?.close());

test('is refused by every field of the schema, alike, and changes nothing', async () => {
  const draw = makeRandom(1);
  const knowledge = new Knowledge();
  const { schema, shared } = world;
  // Nothing counts as asked for, so each answer has all its fields.
  const generator = makeGenerator(schema, knowledge, () => false);
  const roots = [schema.getQueryType(), schema.getMutationType()];
  const fields = roots.flatMap((root) =>
    Object.keys(root?.getFields() ?? {}).map((name) => ({ root, name })),
  );
  const ask = async () => {
    const answers = new Map<string, { status: number; data: unknown; codes: string[] }>();
    for (const { root, name } of fields) {
      if (!root) continue;
      const operation = generator.of(root, name, draw, { isPlain: true });
      const { status, text } = await world.ask(seat, 'shared', operation);
      const { data, errors = [] } = JSON.parse(text);
      knowledge.learn(data);
      const codes = errors.map((error: { extensions: { code: string } }) => error.extensions.code);
      answers.set(name, { status, data, codes });
    }
    return answers;
  };
  // As a member, so that what comes next is about rows they could read and write.
  await ask();
  expect(knowledge.idTypes.length).toBeGreaterThan(3);
  await shared.superuser.query(
    'insert into app_private.gone_members (clerk_org_id, clerk_user_id) values ($1, $2)',
    [seat.caller.orgId, seat.caller.userId],
  );
  await takeChanges(shared.superuser);
  const answers = [...(await ask())];
  const told = answers.filter(([, { data }]) => holdsAnything(data));
  // What the token itself says.
  expect(told.map(([name, { data }]) => [name, data])).toMatchObject([
    ['viewer', { viewer: { role: 'member', permissions: [], user: null, organization: null } }],
  ]);
  // The others asked for what cannot be, and got no further than that.
  const forbidden = answers.filter(([, { codes }]) => codes.includes('FORBIDDEN'));
  expect(forbidden.length).toBeGreaterThan(answers.length / 2);
  expect(await takeChanges(shared.superuser)).toEqual([]);
});

/** Whether an answer says more than null and the names of types. */
function holdsAnything(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return data !== null && data !== undefined;
  return Object.entries(data).some(([key, value]) => key !== '__typename' && holdsAnything(value));
}
