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
  /** It was canceled before it ended. */
  cancel(id: string): Promise<void>;
  read(): Promise<string[]>;
  /** Those of them that were canceled. */
  canceled(): Promise<string[]>;
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
    let answered = 0;
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let n = 0; !isOver; n += 1) {
        const name = client % 3 === 0 ? 'startGeneration' : 'generate';
        const input = {
          prompt: `Kill ${i} ${client} ${n}.`,
          idempotencyKey: `${i}-${client}-${n}`,
        };
        await ground
          .mutate(name, input, { url })
          .then(async ({ id }) => {
            await notes.note(id);
            answered += 1;
          })
          // It was not acknowledged: whole or not at all.
          .catch(() => {});
      }
    });
    // It is warm, and each client has something on its way.
    await until('some answers', () => answered >= 6);
    await sleep((i * 37) % 100);
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
       l.prompt_tokens + l.completion_tokens as tokens
     from app_public.generations as g left join app_private.ai_ledger as l using (org_id)
     where l.generation_id = g.id`,
  );
  const acknowledged = (await notes.read()).map(rowIdOf);
  const known = new Set(rows.map(({ id }) => id));
  expect(acknowledged.filter((id) => !known.has(id))).toEqual([]);
  // The service was well in the end, so there is no reason for any other end than the one asked for.
  const canceled = new Set((await notes.canceled()).map(rowIdOf));
  const expected = (id: string) => (canceled.has(id) ? 'CANCELED' : 'SUCCEEDED');
  expect(rows.filter(({ id, status }) => status !== expected(id))).toEqual([]);
  // Of a canceled one what it cost is booked if somebody lived to say so.
  expect(rows.filter(({ status, cost }) => status === 'SUCCEEDED' && cost === '0')).toEqual([]);
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
  return `${acknowledged.length} acknowledged, ${rows.length} accepted, ${canceled.size} canceled, the others succeeded, all booked once; ${generating.length} calls, ${generating.length - effective.size} of them repeats under the same key`;
}

/** Opens an empty one. */
export async function openNotes(): Promise<Notes> {
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-test-notes-'));
  const pages = { accepted: join(dir, 'accepted'), canceled: join(dir, 'canceled') };
  for (const page of Object.values(pages)) await appendFile(page, '');
  const linesOf = async (page: string) =>
    (await readFile(page, 'utf8')).split('\n').filter(Boolean);
  return {
    note: (id) => appendFile(pages.accepted, `${id}\n`),
    cancel: (id) => appendFile(pages.canceled, `${id}\n`),
    read: () => linesOf(pages.accepted),
    canceled: () => linesOf(pages.canceled),
    close: () => rm(dir, { recursive: true }),
  };
}
