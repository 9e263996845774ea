import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Foreigner, idPlaces, meetForeigner, timeBoth } from './foreigner.ts';
import { fewCallers, openWorld, silenceGrafast, type World } from './world.ts';

/** An id of another organization is answered like one that never was: same status, same bytes, same time. */

let world: World;
let carol: Foreigner;
beforeAll(async () => {
  silenceGrafast();
  world = await openWorld({ others: 2, names: fewCallers });
  carol = await meetForeigner(world);
}, 60_000);
afterAll(() => world?.close());

test('each type with an id is asked for by an id of another organization and by an invented one', async () => {
  const { seat, types, idsOf, fieldsOf, invent } = carol;
  expect(types.filter((type) => idsOf(type).length === 0)).toEqual([]);
  let compared = 0;
  for (const type of types) {
    for (const id of idsOf(type).filter((_, i) => i % 3 === 0)) {
      for (const query of fieldsOf(type)) {
        const ask = async (asked: string) => ({
          query,
          ...(await world.ask(seat, 'shared', { query, variables: { id: asked } })),
        });
        expect(await ask(id)).toEqual(await ask(invent(id)));
        compared += 1;
      }
    }
  }
  expect(compared).toBeGreaterThan(types.length);
}, 60_000);

test('every argument and input field that is an id is asked for, and what changes a row changes it', () => {
  const places = idPlaces(world.schema);
  const names = places.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      'UpdateDocumentInput.id',
      'PresignUploadInput.document',
      'PresignUploadPartsInput.id',
      'CompleteMultipartUploadInput.id',
      'GenerateInput.document',
      'Query.similarDocuments(document)',
      'FileCondition.owner',
      'AuditEventCondition.row',
    ]),
  );
  const update = places.find(({ name }) => name === 'UpdateDocumentInput.id');
  expect(update?.query).toMatch(/patch: \{\w+: "text"\}/);
});

test('neither takes longer than the other', async () => {
  for (const type of carol.types) {
    const [query = ''] = carol.fieldsOf(type);
    const difference = await timeBoth(world, carol, query, carol.idsOf(type), 100);
    const isAlike = difference.chance > 0.25 && difference.chance < 0.75;
    expect({ type, ...difference, isAlike }).toMatchObject({ isAlike: true });
  }
}, 60_000);
