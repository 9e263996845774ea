import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type LocalAiService, openLocalAiService } from '../../dev/aiService.ts';
import { signIn, startApi, type TestApi } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, startProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Documents, embedded by a real worker that asks the local AI service. */

let database: TestDatabase;
let service: LocalAiService;
let api: TestApi;
let worker: Program;
let token: string;

beforeAll(async () => {
  database = await openTestDatabase();
  service = await openLocalAiService();
  api = await startApi(database);
  token = await signIn({ user: 'user_alice', org: 'org_acme' });
  // Written before anybody embeds anything.
  await write('Sea', 'The old house by the sea has a red door.');
  worker = startProgram('worker/main.ts', {
    DATABASE_WORKER_URL: database.workerUrl,
    WORKER_PORT: '0',
    WORKER_HEARTBEAT_MS: '200',
    WORKER_DEAD_AFTER_MS: '2000',
    AI_SERVICE_URL: service.url,
    AI_EMBEDDINGS: 'true',
    LOG_PSEUDONYM_KEY: 'p'.repeat(32),
    LOG_LEVEL: 'debug',
  });
  await worker.line(({ msg }) => msg === 'ready');
});
afterAll(async () => {
  await worker.close();
  await api.close();
  await service.close();
  await database.close();
});

async function ask(query: string, variables: object = {}, by = token) {
  const { data, errors } = await api.request(by, query, variables);
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

async function write(title: string, body: string, by = token): Promise<string> {
  const query = `mutation ($document: DocumentInput!) {
    createDocument(input: { document: $document }) { document { id } } }`;
  const { createDocument } = await ask(query, { document: { title, body } }, by);
  return createDocument.document.id;
}

async function similarTo(document: string, by = token): Promise<string[]> {
  const query = `query ($document: ID!) {
    similarDocuments(document: $document) { edges { node { title } } } }`;
  const { similarDocuments } = await ask(query, { document }, by);
  return similarDocuments.edges.map(({ node }: { node: { title: string } }) => node.title);
}

/** Lets nobody wait for more typing, and waits until no job is left. */
const idle = () =>
  until('no job to be left', async () => {
    await database.superuser.query(
      'update graphile_worker._private_jobs set run_at = now() where attempts = 0 and run_at > now()',
    );
    const { rows } = await database.superuser.query(
      'select count(*)::int as jobs from graphile_worker._private_jobs',
    );
    return rows[0].jobs === 0;
  });

describe('embeddings', () => {
  let house: string;

  test('are made of documents that are written, and of those that were there', async () => {
    house = await write('Coast', 'An old house by the sea, its door is red.');
    await write('Taxes', 'Quarterly figures, due in April.');
    await write('Garden', 'The house has a garden.');
    await idle();
    expect(await similarTo(house)).toEqual(['Sea', 'Garden', 'Taxes']);
  });

  test('are asked for with the organization, a pseudonym and a key of their own', async () => {
    expect(service.calls.map(({ operation, orgId }) => [operation, orgId])).toEqual(
      Array.from({ length: 4 }, () => ['embed', 'org_acme']),
    );
    for (const { userId, idempotencyKey } of service.calls) {
      expect(userId).toMatch(/^[0-9a-f]{16}$/);
      expect(idempotencyKey).toMatch(/^documents__embed:\d+:[0-9a-f]{64}$/);
    }
    expect(new Set(service.calls.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(4);
  });

  test('follow a document that changes', async () => {
    const update = `mutation ($id: ID!, $body: String!) {
      updateDocument(input: { id: $id, patch: { body: $body } }) { document { id } } }`;
    await ask(update, { id: house, body: 'Figures of the quarter, quarterly, due in April.' });
    await idle();
    expect((await similarTo(house))[0]).toBe('Taxes');
  });

  test('are not made again of a text that is the same', async () => {
    const before = service.calls.length;
    const update = `mutation ($id: ID!) {
      updateDocument(input: { id: $id, patch: { title: "Coast" } }) { document { id } } }`;
    await ask(update, { id: house });
    await idle();
    expect(service.calls).toHaveLength(before);
  });

  test('are made once the service is there again', async () => {
    service.setFault({ kind: 'status', status: 500 });
    const late = await write('Late', 'A garden by the house.');
    await until('a job to fail', async () => {
      await database.superuser.query(
        'update graphile_worker._private_jobs set run_at = now() where attempts = 0 and run_at > now()',
      );
      const { rows } = await database.superuser.query(
        'select from graphile_worker._private_jobs where last_error is not null',
      );
      return rows.length > 0;
    });
    service.setFault(undefined);
    await database.superuser.query('update graphile_worker._private_jobs set run_at = now()');
    await idle();
    expect((await similarTo(late))[0]).toBe('Garden');
  });

  test('wait where the organization is told to, and that is no attempt', async () => {
    // As often as one attempt asks.
    service.setFault({ kind: 'status', status: 429, retryAfter: '1', times: 3 });
    const from = worker.lines.length;
    const limited = await write('Limited', 'A garden by the sea.');
    await idle();
    expect((await similarTo(limited)).length).toBeGreaterThan(0);
    const outcomes = () =>
      worker.lines
        .slice(from)
        .filter(({ task, outcome }) => task === 'documents__embed' && outcome)
        .map(({ outcome }) => outcome);
    // A line comes a moment after what it tells of.
    await until('the lines of the job', () => outcomes().at(-1) === 'succeeded');
    expect(outcomes()).toContain('postponed');
    expect(outcomes()).not.toContain('failed');
  });

  test('are asked for once of a text that the service refuses', async () => {
    const body = JSON.stringify({ error: { code: 'PROMPT_TOO_LONG', message: 'No.' } });
    service.setFault({ kind: 'status', status: 413, body });
    const before = service.calls.length;
    await write('Long', 'Longer than the model likes.');
    await idle();
    expect(service.calls).toHaveLength(before + 1);
    service.setFault(undefined);
  });

  test('lead nowhere from a document of somebody else, nor from no document', async () => {
    const carol = await signIn({ user: 'user_carol', org: 'org_globex' });
    await write('House', 'The old house by the sea has a red door.', carol);
    const bob = await signIn({ user: 'user_bob', org: 'org_acme' });
    await idle();
    for (const by of [carol, bob]) expect(await similarTo(house, by)).toEqual([]);
    expect(await similarTo('nonsense')).toEqual([]);
    expect(await similarTo(house)).not.toContain('House');
  });
});
