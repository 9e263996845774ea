import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openTestDatabase, type TestCaller, type TestDatabase } from '../../support/database.ts';
import { addJob, asWorker, over, takeJob } from '../attempts.ts';
import {
  admin,
  alice,
  ask,
  bob,
  carol,
  commitAs,
  denied,
  nobody,
  provisionAll,
} from '../callers.ts';

let database: TestDatabase;
/** Alice's document in Acme, and its job. */
let id: string;

beforeAll(async () => {
  database = await openTestDatabase();
  await provisionAll(database);
});
afterAll(() => database.close());

beforeEach(async () => {
  await database.superuser.query('truncate app_public.documents cascade');
  await database.superuser.query('delete from graphile_worker._private_jobs');
  await enable(true);
  await database.superuser.query('delete from graphile_worker._private_jobs');
  id = await write(alice, 'Mine');
});

const enable = (isEnabled: boolean) =>
  asWorker(database, (client) =>
    client.query('select app_private.enable_embeddings($1)', [isEnabled]),
  );

async function write(caller: TestCaller, title: string): Promise<string> {
  return commitAs(database, caller, async (client) => {
    const { rows } = await client.query(
      "insert into app_public.documents (title, body) values ($1, 'text') returning id",
      [title],
    );
    return rows[0].id;
  });
}

async function jobs(): Promise<string[]> {
  const { rows } = await database.superuser.query(
    "select key from graphile_worker._private_jobs where key like 'documents__embed:%' order by id",
  );
  return rows.map(({ key }) => key);
}

type Content = { content: string; content_hash: Buffer };

async function contentOf(documentId = id, orgId = 'org_acme'): Promise<Content | undefined> {
  const attempt = await takeJob(database, await addJob(database, 'test', { orgId }));
  const { rows } = await asWorker(database, (client) =>
    client.query<Content>('select * from app_private.document_to_embed($1, $2)', [
      attempt,
      documentId,
    ]),
  );
  return rows[0];
}

type Embedding = { vector?: number[]; model?: string; orgId?: string; hash?: Buffer | undefined };

/** Embeds a document, as the worker does. */
async function embed(
  documentId: string,
  { vector = [1, 0], model = 'm', orgId = 'org_acme', hash }: Embedding = {},
): Promise<boolean> {
  const used = hash ?? (await contentOf(documentId, orgId))?.content_hash;
  const attempt = await takeJob(database, await addJob(database, 'test', { orgId }));
  const { rows } = await asWorker(database, (client) =>
    client.query('select app_private.store_embedding($1, $2, $3, $4, $5) as is_kept', [
      attempt,
      documentId,
      used,
      model,
      vector,
    ]),
  );
  return rows[0].is_kept;
}

const unit = (vector: number[]) => vector.map((x) => x / Math.hypot(...vector));

const similar = `
  select d.title, app_hidden.document_similarity(d, (select app_hidden.document_embedding($1))) as cosine
  from app_public.similar_documents($1) as d order by 2 desc, d.id desc`;

async function similarTo(documentId: string, caller: TestCaller = admin) {
  const { rows } = await ask(database, caller, similar, [documentId]);
  return rows as { title: string; cosine: number }[];
}

describe('a job', () => {
  test('is added for each document that is written, once while it waits', async () => {
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set body = 'other'"),
    );
    expect(await jobs()).toEqual([`documents__embed:org_acme:${id}`]);
  });

  test('is added for none while embeddings are not enabled', async () => {
    await enable(false);
    await database.superuser.query('delete from graphile_worker._private_jobs');
    await write(alice, 'Another');
    expect(await jobs()).toEqual([]);
  });

  test('is added for all that have no embedding, where they were not enabled before', async () => {
    await embed(id);
    await enable(false);
    const others = [await write(bob, 'Of Bob'), await write(carol, 'Of Carol')];
    await database.superuser.query('delete from graphile_worker._private_jobs');
    await enable(true);
    await enable(true);
    const { rows } = await database.superuser.query(
      "select id from graphile_worker._private_jobs where key = 'documents__embed_missing'",
    );
    expect(rows).toHaveLength(1);
    const attempt = await takeJob(database, rows[0].id);
    await asWorker(database, (client) =>
      client.query('select app_private.embed_missing($1)', [attempt]),
    );
    expect(await jobs()).toEqual([
      `documents__embed:org_acme:${others[0]}`,
      `documents__embed:org_globex:${others[1]}`,
    ]);
  });
});

describe('a text', () => {
  test('is the title and the beginning of the body', async () => {
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set body = repeat('x', 30000)"),
    );
    expect((await contentOf())?.content).toBe(`Mine\n\n${'x'.repeat(20_000)}`);
  });

  test('that is embedded already is not embedded again, until it changes', async () => {
    await embed(id);
    expect(await contentOf()).toBeUndefined();
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set title = 'Other'"),
    );
    expect(await contentOf()).toBeDefined();
  });

  test('of another organization is not to be had', async () => {
    expect(await contentOf(id, 'org_globex')).toBeUndefined();
  });
});

describe('a vector', () => {
  test('is kept, and replaced by a later one', async () => {
    expect(await embed(id, { vector: [0.6, 0.8] })).toBe(true);
    const stored = 'select vector, model from app_public.document_embeddings';
    const read = async () => (await database.superuser.query(stored)).rows;
    expect(await read()).toEqual([{ vector: [0.6, 0.8], model: 'm' }]);
    await commitAs(database, alice, (client) =>
      client.query("update app_public.documents set title = 'Other'"),
    );
    expect(await embed(id, { vector: [0, 0, -1], model: 'n' })).toBe(true);
    expect(await read()).toEqual([{ vector: [0, 0, -1], model: 'n' }]);
  });

  test.each<[string, () => Promise<boolean>]>([
    ['of a text that has changed', () => embed(id, { hash: Buffer.alloc(32) })],
    [
      'of a document of another organization',
      async () => embed(id, { orgId: 'org_globex', hash: (await contentOf())?.content_hash }),
    ],
  ])('%s is not kept', async (_, attempt) => {
    expect(await attempt()).toBe(false);
    expect(
      (await database.superuser.query('select from app_public.document_embeddings')).rowCount,
    ).toBe(0);
  });

  test('goes with its document', async () => {
    await embed(id);
    await commitAs(database, alice, (client) => client.query('delete from app_public.documents'));
    expect(
      (await database.superuser.query('select from app_public.document_embeddings')).rowCount,
    ).toBe(0);
  });

  test('is for those who read its document, and for nobody else', async () => {
    await embed(id);
    const seen = async (caller: TestCaller) =>
      (await ask(database, caller, 'select from app_public.document_embeddings')).rowCount;
    expect([await seen(alice), await seen(admin)]).toEqual([1, 1]);
    expect([await seen(bob), await seen(carol), await seen(nobody)]).toEqual([0, 0, 0]);
  });

  test('is written by no request', async () => {
    await embed(id);
    for (const statement of [
      "insert into app_public.document_embeddings (document_id, model, content_hash, vector) values (uuidv7(), 'm', sha256(''), '{1}')",
      "update app_public.document_embeddings set vector = '{1}'",
      'delete from app_public.document_embeddings',
      "select app_private.store_embedding('(1,0,1)', uuidv7(), sha256(''), 'm', '{1}')",
      "select * from app_private.document_to_embed('(1,0,1)', uuidv7())",
      'select app_private.enable_embeddings(true)',
    ]) {
      await expect(ask(database, admin, statement)).rejects.toMatchObject(denied);
    }
  });

  test('is kept by nobody who holds no attempt', async () => {
    const { content_hash } = (await contentOf()) ?? {};
    for (const attempt of ['(1,0,1)', '(,,)', null]) {
      const kept = asWorker(database, (client) =>
        client.query("select app_private.store_embedding($1, $2, $3, 'm', '{1}')", [
          attempt,
          id,
          content_hash,
        ]),
      );
      await expect(kept).rejects.toMatchObject(over);
    }
  });
});

describe('similar documents', () => {
  test('come with the cosine of their vectors, the nearest first', async () => {
    const vectors: Record<string, number[]> = {
      Near: [0.9, 0.1, 0.2],
      Far: [-1, 0, 0.1],
      Middle: [0.3, 0.8, -0.5],
    };
    const of = [1, 0.2, 0.1];
    await embed(id, { vector: unit(of) });
    for (const [title, vector] of Object.entries(vectors)) {
      await embed(await write(alice, title), { vector: unit(vector) });
    }
    const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
    const cosine = (a: number[], b: number[]) => dot(a, b) / Math.hypot(...a) / Math.hypot(...b);
    expect(await similarTo(id)).toEqual(
      ['Near', 'Middle', 'Far'].map((title) => ({
        title,
        cosine: expect.closeTo(cosine(of, vectors[title] ?? []), 6),
      })),
    );
  });

  test('are never those of another model, nor of another length', async () => {
    await embed(id);
    await embed(await write(alice, 'Other model'), { model: 'n' });
    await embed(await write(alice, 'Other length'), { vector: [1, 0, 0] });
    await embed(await write(alice, 'Same'));
    expect((await similarTo(id)).map(({ title }) => title)).toEqual(['Same']);
  });

  test('are those the caller may read', async () => {
    await embed(id);
    await embed(await write(bob, 'Of Bob'));
    await embed(await write(carol, 'Of Carol'), { orgId: 'org_globex' });
    expect((await similarTo(id)).map(({ title }) => title)).toEqual(['Of Bob']);
    expect(await similarTo(id, alice)).toEqual([]);
    expect(await similarTo(id, bob)).toEqual([]);
    expect(await similarTo(id, carol)).toEqual([]);
  });
});
