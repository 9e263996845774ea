import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { type GenerationGround, rowIdOf } from '../support/generations.ts';
import type { Program } from '../support/program.ts';
import { until } from '../support/until.ts';

/** Kills around generations, in a short and in a long form. */

/** What clients were told is accepted, in a file of their own: ids of generations. */
export type Notes = {
  note(id: string): Promise<void>;
  read(): Promise<string[]>;
  close(): Promise<void>;
};

/** Kills the API in the middle of generating, each time a little later than before. */
export async function killApis(ground: GenerationGround, times: number): Promise<string> {
  await ground.startWorker();
  const notes = await openNotes();
  // So that each step of the work lasts long enough to be hit.
  ground.ai.setFault({ kind: 'delay', ms: 15 });
  for (let i = 0; i < times; i += 1) {
    const { server, url } = await ground.startServer();
    let isOver = false;
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let n = 0; !isOver; n += 1) {
        const name = client % 3 === 0 ? 'startGeneration' : 'generate';
        const input = {
          prompt: `Kill ${i} ${client} ${n}.`,
          idempotencyKey: `${i}-${client}-${n}`,
        };
        await ground
          .mutate(name, input, { url })
          .then(({ id }) => notes.note(id))
          // It was not acknowledged: whole or not at all.
          .catch(() => {});
      }
    });
    await sleep(100 + ((i * 37) % 200));
    server.kill('SIGKILL');
    await server.ended;
    isOver = true;
    await Promise.all(clients);
  }
  return compare(ground, notes);
}

/** Kills the worker in the middle of generating, each time a little later than before. */
export async function killWorkers(ground: GenerationGround, times: number): Promise<string> {
  const notes = await openNotes();
  ground.ai.setFault({ kind: 'delay', ms: 15 });
  let worker: Program = await ground.startWorker();
  for (let i = 0; i < times; i += 1) {
    await Promise.all(
      Array.from({ length: 6 }, async (_, client) => {
        const input = { prompt: `Kill ${i} ${client}.` };
        const { id } = await ground.mutate('startGeneration', input);
        await notes.note(id);
      }),
    );
    await sleep((i * 13) % 70);
    worker.kill('SIGKILL');
    await worker.ended;
    worker = await ground.startWorker();
  }
  return compare(ground, notes);
}

/**
 * Waits until nothing is left to do, and compares what clients were told, the rows, the ledger
 * and what the service saw: each ended once, is booked once, and was worked on under one key.
 */
export async function compare({ database, ai, ...ground }: GenerationGround, notes: Notes) {
  const { superuser } = database;
  ai.setFault(undefined);
  const startedMs = performance.now();
  await until(
    'all generations to end',
    async () => {
      // What waits to be taken over, or for its next attempt, need not wait here. Not while its request may live.
      if (performance.now() - startedMs > 3_000) {
        await superuser.query(
          'update graphile_worker._private_jobs set run_at = now() where locked_at is null and run_at > now()',
        );
      }
      const { rowCount } = await superuser.query(
        `select from app_public.generations where status in ('QUEUED', 'RUNNING') limit 1`,
      );
      return rowCount === 0;
    },
    120_000,
  );
  await ground.idle(60_000);
  const { rows } = await superuser.query<{
    id: string;
    status: string;
    is_booked: boolean;
    cost: string;
    tokens: string;
  }>(
    `select g.id, g.status, l.settled_at is not null as is_booked, l.cost_micros as cost,
       coalesce(g.prompt_tokens + g.completion_tokens, 0) as tokens
     from app_public.generations as g left join app_private.ai_ledger as l using (org_id)
     where l.generation_id = g.id`,
  );
  const acknowledged = (await notes.read()).map(rowIdOf);
  const known = new Set(rows.map(({ id }) => id));
  expect(acknowledged.filter((id) => !known.has(id))).toEqual([]);
  // The service was well, so there is no reason for any other end.
  expect(rows.filter(({ status }) => status !== 'SUCCEEDED')).toEqual([]);
  expect(
    rows.filter(({ is_booked, cost, tokens }) => !is_booked || Number(cost) !== Number(tokens)),
  ).toEqual([]);
  const { cost, reserved, calls } = await ground.month();
  expect({ calls, cost, reserved }).toEqual({
    calls: rows.length,
    cost: rows.reduce((sum, row) => sum + Number(row.cost), 0),
    reserved: 0,
  });
  const effective = new Map<string, number>();
  const generating = ai.calls.filter(({ operation }) => operation === 'generate');
  for (const { idempotencyKey, isEffective } of generating) {
    expect(known).toContain(idempotencyKey);
    effective.set(idempotencyKey, (effective.get(idempotencyKey) ?? 0) + (isEffective ? 1 : 0));
  }
  expect([...effective.values()].filter((count) => count > 1)).toEqual([]);
  await notes.close();
  return `${acknowledged.length} acknowledged, ${rows.length} accepted, all succeeded and booked once; ${generating.length} calls, ${generating.length - effective.size} of them repeats under the same key`;
}

/** Opens an empty one. */
export async function openNotes(): Promise<Notes> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-test-notes-'));
  const file = join(dir, 'acknowledged');
  await appendFile(file, '');
  return {
    note: (id) => appendFile(file, `${id}\n`),
    read: async () => (await readFile(file, 'utf8')).split('\n').filter(Boolean),
    close: () => rm(dir, { recursive: true }),
  };
}
