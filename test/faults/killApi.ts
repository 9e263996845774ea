import { setTimeout as sleep } from 'node:timers/promises';
import { signIn } from '../support/api.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Program, startProgram, startServer, urlOf } from '../support/program.ts';
import { sendGraphql } from '../support/send.ts';
import { until } from '../support/until.ts';

/** How hard it is. */
export type KillApiOptions = {
  kills: number;
  /** Mutations a second, sent whether or not the ones before were answered. */
  perSecond: number;
};

/** What was found after the last kill. */
export type KilledApi = {
  sent: number;
  acknowledged: number;
  /** From the start of the new process until it was ready, in order of size. */
  readyMs: number[];
  /** Documents of mutations that were acknowledged: not there. */
  lost: number[];
  /** Documents that are there more than once, or that nobody asked for. */
  unasked: number[];
  /** Documents whose end is not found: their job was lost. */
  unindexed: number[];
  /** Jobs that are neither done nor to be done. */
  dead: number;
};

const mutation = `mutation ($title: String!, $body: String!) {
  createDocument(input: { document: { title: $title, body: $body } }) { document { id } }
}`;

/** Indexed while it is written, so that what follows is left to the job. */
const filling = 'lorem '.repeat(3_400);
/** By this word alone the end of a document is found. */
const lastWord = (number: number) => `w${number}x`;

/**
 * Sends mutations that add jobs, kills the API in their midst again and again, and
 * compares what it acknowledged, as this side noted it, with documents and queue.
 */
export async function killApi({ kills, perSecond }: KillApiOptions): Promise<KilledApi> {
  const database = await openTestDatabase();
  const token = await signIn({ user: 'user_ann', org: 'org_acme' });
  const worker = startProgram('worker/main.ts', {
    DATABASE_WORKER_URL: database.workerUrl,
    WORKER_PORT: '0',
  });
  let api = startServer(database.apiUrl);
  try {
    const url = await urlOf(api);
    const { port } = new URL(url);
    await untilReady(api);
    const load = startLoad(url, token, perSecond);
    const readyMs: number[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      const before = load.acknowledged.size;
      await until('an answer', () => load.acknowledged.size > before, 30_000);
      await sleep(Math.random() * 1_000);
      api.kill('SIGKILL');
      await api.ended;
      const startedMs = performance.now();
      api = startServer(database.apiUrl, { PORT: port });
      await untilReady(api);
      readyMs.push(performance.now() - startedMs);
    }
    await load.stop();
    await untilWorkedOff(database);
    return {
      sent: load.sent(),
      acknowledged: load.acknowledged.size,
      readyMs: readyMs.sort((a, b) => a - b),
      ...(await compare(database, load.sent(), load.acknowledged)),
    };
  } finally {
    await Promise.all([api.close(), worker.close()]);
    await database.close();
  }
}

const untilReady = (api: Program) => api.line(({ msg }) => msg === 'ready');

/** Sends mutations by the clock. Those that fail are not sent again: what became of them is not known. */
function startLoad(url: string, token: string, perSecond: number) {
  const acknowledged = new Set<number>();
  const running = new Set<Promise<void>>();
  const startedMs = performance.now();
  let sent = 0;

  async function sendOne(number: number): Promise<void> {
    const body = `${filling} ${lastWord(number)}`;
    try {
      const variables = { title: `Document ${number}`, body };
      const { status, text } = await sendGraphql(url, token, { query: mutation, variables });
      if (status === 200 && !JSON.parse(text).errors) acknowledged.add(number);
    } catch {
      // Refused, or cut off in the middle.
    }
  }
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1_000) * perSecond;
    for (; sent < due; sent += 1) {
      const one = sendOne(sent).finally(() => running.delete(one));
      running.add(one);
    }
  }, 10);

  return {
    acknowledged,
    sent: () => sent,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

async function untilWorkedOff({ superuser }: TestDatabase): Promise<void> {
  await until(
    'the end of the jobs',
    async () => {
      const { rowCount } = await superuser.query(
        'select from graphile_worker._private_jobs where attempts < max_attempts limit 1',
      );
      return rowCount === 0;
    },
    120_000,
  );
}

async function compare(
  { superuser }: TestDatabase,
  sent: number,
  acknowledged: ReadonlySet<number>,
): Promise<Pick<KilledApi, 'lost' | 'unasked' | 'unindexed' | 'dead'>> {
  const { rows } = await superuser.query<{ title: string; is_indexed: boolean }>(
    `select title, search @@ ('w' || split_part(title, ' ', 2) || 'x')::tsquery as is_indexed
     from app_public.documents`,
  );
  const { rowCount: dead } = await superuser.query('select from graphile_worker._private_jobs');
  const counts = new Map<number, number>();
  for (const { title } of rows) {
    const number = numberOf(title);
    counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  return {
    lost: [...acknowledged].filter((number) => !counts.has(number)),
    unasked: [...counts]
      .filter(([number, count]) => !(number < sent) || count > 1)
      .map(([number]) => number),
    unindexed: rows.filter(({ is_indexed }) => !is_indexed).map(({ title }) => numberOf(title)),
    dead: dead ?? 0,
  };
}

const numberOf = (title: string) => Number(title.split(' ')[1]);
