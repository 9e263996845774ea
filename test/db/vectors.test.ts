import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { expect, test } from '@jest/globals';

/** How near vectors are, with pgvector and without: in PGlite, a Postgres that has it. */

const sql = readFileSync(new URL('../../db/vectors.sql', import.meta.url), 'utf8');

async function open(hasPgvector: boolean): Promise<PGlite> {
  const db = await PGlite.create({ extensions: hasPgvector ? { vector } : {} });
  await db.exec(
    'create schema app_hidden; create role app_user; grant usage on schema app_hidden to app_user',
  );
  // As it was before somebody created the extension.
  await db.exec(sql);
  if (hasPgvector) await db.exec('create schema vectors; create extension vector schema vectors');
  await db.exec(sql);
  await db.exec('grant execute on function app_hidden.dot_product(real[], real[]) to app_user');
  return db;
}

const unit = () => {
  const numbers = Array.from({ length: 64 }, () => Math.random() - 0.5);
  return numbers.map((x) => Math.fround(x / Math.hypot(...numbers)));
};

test('documents come in the same order, and as near, with pgvector and without', async () => {
  const vectors = Array.from({ length: 300 }, unit);
  const asked = unit();
  const ranked = async (db: PGlite) => {
    await db.exec('set role app_user');
    const { rows } = await db.query<{ id: number; cosine: number }>(
      `select id, app_hidden.dot_product(v, $1::real[]) as cosine
       from jsonb_to_recordset($2) as r (id int, v real[]) order by 2 desc, id desc`,
      [asked, vectors.map((v, id) => ({ id, v }))],
    );
    return rows;
  };
  const [plain, fast] = await Promise.all([open(false), open(true)]);
  const [slowly, fastly] = await Promise.all([ranked(plain), ranked(fast)]);
  expect(fastly.map(({ id }) => id)).toEqual(slowly.map(({ id }) => id));
  for (const [i, { cosine }] of slowly.entries()) expect(fastly[i]?.cosine).toBeCloseTo(cosine, 6);
  const body =
    "select pg_get_function_sqlbody('app_hidden.dot_product'::regproc) like '%<#>%' as is_used";
  expect((await plain.query(body)).rows).toEqual([{ is_used: false }]);
  await fast.exec('reset role');
  expect((await fast.query(body)).rows).toEqual([{ is_used: true }]);
  await expect(fast.exec('drop extension vector')).rejects.toMatchObject({ code: '2BP01' });
  await Promise.all([plain.close(), fast.close()]);
});
