import { randomUUID } from 'node:crypto';
import type { GenerationGround } from '../support/generations.ts';
import { openPausingDatabase, openPausingService, type PausingWay } from '../support/pausing.ts';
import { commit, inTime, type NamedStep, request, sql } from '../support/steps.ts';
import { until } from '../support/until.ts';
import { compare, type Notes, openNotes } from './storms.ts';

/** Kills that land at a named step of a generation, each as often as asked for. */

type Ways = { database: PausingWay; ai: PausingWay };
type Step = NamedStep<keyof Ways> & {
  /** The service fails so often before it is well. */
  failures?: number;
  /** It is canceled while the step is held. */
  isCanceled?: true;
};
type ApiStep = Step & { call: 'generate' | 'startGeneration' };

/** More than one call tries. */
const untilGivenUp = 3;

const text = request(/^POST .*generate/);
const filter = (kind: string) => request(new RegExp(`^POST .*filters .*-${kind}`));
/** A step on its way there, and done but unanswered. */
const both = <const Rest extends object>(
  names: readonly [string, string],
  rest: Rest & Pick<Step, 'way' | 'isIt'>,
) =>
  [
    { ...rest, name: names[0], where: 'sent' },
    { ...rest, name: names[1], where: 'done' },
  ] as const;

const inRequest = { way: 'database', call: 'generate' } as const;

/** Of a request, from accepting a generation to answering it, or to leaving it to a job. */
export const apiSteps: readonly ApiStep[] = [
  // A call is one batch: what has been done in the database is committed.
  ...both(['accepts', 'has accepted, unanswered'], {
    ...inRequest,
    isIt: sql('create_generation'),
  }),
  ...both(['shows the prompt', 'has shown the prompt, unanswered'], {
    ...inRequest,
    way: 'ai',
    isIt: filter('prompt'),
  }),
  ...both(['asks for the text', 'has the text, unanswered'], {
    ...inRequest,
    way: 'ai',
    isIt: text,
  }),
  ...both(['shows the text', 'has shown the text, unanswered'], {
    ...inRequest,
    way: 'ai',
    isIt: filter('result'),
  }),
  ...both(['finishes', 'has finished, unanswered'], {
    ...inRequest,
    isIt: sql('finish_generation'),
  }),
  ...both(['hands off', 'has handed off, unanswered'], {
    ...inRequest,
    isIt: sql('hand_off_generation'),
    failures: untilGivenUp,
  }),
  ...both(['accepts for later', 'has accepted for later, unanswered'], {
    way: 'database',
    call: 'startGeneration',
    isIt: sql('create_generation'),
  }),
];

/** Of a job, from taking a generation to completing it, or to giving it back. */
export const workerSteps: readonly Step[] = [
  ...both(['takes', 'has taken, unanswered'], { way: 'database', isIt: sql('take_generation') }),
  ...both(['shows the prompt', 'has shown the prompt, unanswered'], {
    way: 'ai',
    isIt: filter('prompt'),
  }),
  ...both(['asks for the text', 'has the text, unanswered'], { way: 'ai', isIt: text }),
  ...both(['asks for a text that is canceled', 'has a text that is canceled, unanswered'], {
    way: 'ai',
    isIt: text,
    isCanceled: true,
  }),
  ...both(['shows the text', 'has shown the text, unanswered'], {
    way: 'ai',
    isIt: filter('result'),
  }),
  ...both(['completes', 'has completed, uncommitted'], {
    way: 'database',
    isIt: sql('complete_generation'),
  }),
  ...both(['commits', 'has committed, unanswered'], {
    way: 'database',
    isIt: commit('complete_generation'),
  }),
  ...both(['gives back', 'has given back, unanswered'], {
    way: 'database',
    isIt: sql('return_generation'),
    failures: untilGivenUp,
  }),
  ...both(['gives back what is canceled', 'has given back what is canceled, unanswered'], {
    way: 'database',
    isIt: sql('return_generation'),
    failures: untilGivenUp,
    isCanceled: true,
  }),
];

/** Kills an API so often at each of these steps; its client asks again under the same key. */
export async function killApisAt(
  ground: GenerationGround,
  steps: readonly ApiStep[],
  times: number,
): Promise<string> {
  return killAt(ground, ground.database.apiUrl, async (ways, settings, notes) => {
    await ground.startWorker();
    const start = () => ground.startServer({ ...settings, DATABASE_URL: ways.database.url });
    let { server, url } = await start();
    await each(steps, times, async (step) => {
      const input = { prompt: `Killed when it ${step.name}.`, idempotencyKey: randomUUID() };
      const held = hold(ground, ways, step);
      const answer = ground.mutate(step.call, input, { url }).then(
        () => 'answered',
        () => 'lost',
      );
      await inTime(held, step.name);
      server.kill('SIGKILL');
      await server.ended;
      if ((await answer) !== 'lost') {
        throw new Error(`An API that was killed when it ${step.name} has answered.`);
      }
      ground.ai.setFault(undefined);
      ({ server, url } = await start());
      await takeOver(ground);
      const { id } = await ground.mutate(step.call, input, { url });
      await notes.note(id);
      await ground.ended(id);
    });
  }).then((outcome) => `${steps.length} steps, ${times} kills each: ${outcome}`);
}

/** Kills the worker so often at each of these steps. */
export async function killWorkersAt(
  ground: GenerationGround,
  steps: readonly Step[],
  times: number,
): Promise<string> {
  return killAt(ground, ground.database.workerUrl, async (ways, settings, notes) => {
    const start = () => ground.startWorker({ ...settings, DATABASE_WORKER_URL: ways.database.url });
    let worker = await start();
    await each(steps, times, async (step) => {
      const held = hold(ground, ways, step);
      const { id } = await ground.mutate('startGeneration', {
        prompt: `Killed when it ${step.name}.`,
      });
      await notes.note(id);
      await inTime(held, step.name);
      if (step.isCanceled) {
        await ground.mutate('cancelGeneration', { id });
        await notes.cancel(id);
      }
      worker.kill('SIGKILL');
      await worker.ended;
      ground.ai.setFault(undefined);
      worker = await start();
      await takeOver(ground);
      await ground.ended(id);
    });
  }).then((outcome) => `${steps.length} steps, ${times} kills each: ${outcome}`);
}

/** Opens ways for the processes that are killed, and compares what all know in the end. */
async function killAt(
  ground: GenerationGround,
  databaseUrl: string,
  work: (ways: Ways, settings: Record<string, string>, notes: Notes) => Promise<void>,
): Promise<string> {
  const database = await openPausingDatabase(databaseUrl);
  const ai = await openPausingService(ground.ai.url);
  const notes = await openNotes();
  try {
    await work({ database, ai }, { AI_SERVICE_URL: ai.url }, notes);
    return await compare(ground, notes);
  } finally {
    await Promise.all([database.close(), ai.close()]);
  }
}

async function each<Of>(steps: readonly Of[], times: number, work: (step: Of) => Promise<void>) {
  for (const step of steps) {
    for (let i = 0; i < times; i += 1) await work(step);
  }
}

/** Holds the step, with the service as it has to be for it. Nothing else is on its way. */
function hold({ ai }: GenerationGround, ways: Ways, { way, where, isIt, failures }: Step) {
  if (failures !== undefined) {
    ai.setFault({ kind: 'status', status: 500, operation: 'generate', times: failures });
  }
  return ways[way].hold(isIt(''), where);
}

/** Waits until all has ended. What waits to be taken over need not wait: its request is dead. */
async function takeOver({ database }: GenerationGround): Promise<void> {
  await until(
    'the end of what was begun',
    async () => {
      const { rowCount } = await database.superuser.query(
        `with hurried as (
           update graphile_worker._private_jobs set run_at = now() where locked_at is null and run_at > now() returning id
         )
         select pg_notify('jobs:insert', '{"count":1}') from hurried`,
      );
      const { rowCount: open } = await database.superuser.query(
        `select from app_public.generations where status in ('QUEUED', 'RUNNING') limit 1`,
      );
      return rowCount === 0 && open === 0;
    },
    60_000,
  );
}
