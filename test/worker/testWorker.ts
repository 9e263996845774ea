import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { loadConfigOrExit } from '../../platform/config/loadConfigOrExit.ts';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { makeLifecycle } from '../../platform/lifecycle.ts';
import { makeLogger } from '../../platform/logging.ts';
import { makeFileTasks } from '../../worker/makeFileTasks.ts';
import { runWorker } from '../../worker/runWorker.ts';
import { defineTask } from '../../worker/task.ts';
import * as tasks from '../../worker/tasks.ts';

/**
 * The worker process with tasks for tests besides its own. TEST_LEDGER names the
 * file that stands for the outside world: what happened there is never undone.
 */

const ledger = process.env.TEST_LEDGER;

/** One line of the ledger. */
export type Entry = {
  what: 'began' | 'did' | 'aborted' | 'heard';
  attempt: string;
  orgId?: string;
  pid: number;
  atMs: number;
};

function note(what: Entry['what'], attempt: string, more: object = {}): void {
  const entry = { what, attempt, ...more, pid: process.pid, atMs: Date.now() };
  if (ledger) appendFileSync(ledger, `${JSON.stringify(entry)}\n`);
}

/** Waits, at its first attempt as long as `firstMs`, then writes its effect and ends in one transaction. */
const test__effect = defineTask({
  payload: z.object({
    ms: z.number().default(0),
    firstMs: z.number().optional(),
    /** Where it waits: in the task, or in Postgres, in the transaction that ends the job. */
    where: z.enum(['task', 'transaction']).default('task'),
    orgId: z.string().nullish(),
  }),
  async run({ ms, firstMs = ms, where, orgId }, { attempt, attemptNumber, complete }) {
    note('began', attempt, { orgId });
    const waitMs = attemptNumber === 1 ? firstMs : ms;
    if (waitMs > 0 && where === 'task') await sleep(waitMs);
    await complete(async (client) => {
      await client.query('select app_private.test_effect($1)', [attempt]);
      if (where === 'transaction') await client.query('select pg_sleep($1)', [waitMs / 1_000]);
    });
    note('did', attempt);
  },
});

/** Does nothing, and leaves its end to the queue. */
const test__nothing = defineTask({
  payload: z.object({ ms: z.number().default(0) }),
  run: ({ ms }) => (ms > 0 ? sleep(ms) : Promise.resolve()),
});

/** Misbehaves. */
const test__misbehave = defineTask({
  payload: z.object({
    how: z.enum([
      'throw',
      'throw coded',
      'throw nothing',
      'hang',
      'leak',
      'exit',
      'block',
      'hold',
      'hold its job',
      'reject later',
    ]),
  }),
  timeoutMs: 500,
  async run({ how }, { attempt, signal, withClient, complete }) {
    note('began', attempt);
    signal.addEventListener('abort', () => note('aborted', attempt));
    switch (how) {
      case 'throw':
        throw new Error('secret of the inside');
      case 'throw coded':
        throw new RowhouseError('CONFLICT');
      case 'throw nothing':
        throw undefined;
      case 'hang':
        return new Promise(() => {});
      case 'leak':
        for (let i = 0; i < 3; i += 1) void withClient(() => new Promise(() => {})).catch(() => {});
        return sleep(50);
      case 'hold':
        return withClient((client) => client.query('select pg_sleep(600)'));
      case 'hold its job':
        return complete((client) =>
          client.query('select app_private.test_effect($1), pg_sleep(600)', [attempt]),
        );
      case 'reject later':
        void withClient((client) => client.query('select pg_sleep(600)')).catch(() =>
          note('heard', attempt),
        );
        return sleep(50);
      case 'exit':
        return process.exit(3);
      case 'block':
        for (;;);
    }
  },
});

const config = loadConfigOrExit('worker');
const log = makeLogger(config);
const lifecycle = makeLifecycle({ log });
lifecycle.onSignals();
const testTasks = { test__effect, test__nothing, test__misbehave };
const all = { ...tasks, ...makeFileTasks(undefined), ...testTasks };
await runWorker(config, () => all, log, lifecycle);
