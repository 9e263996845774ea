import { existsSync, readFileSync } from 'node:fs';
import { Client, Pool } from 'pg';
import { pgSettings } from '../db/claims.ts';
import { makeOperations } from '../test/support/operations.ts';
import { makeRecordingPool, type Statement } from '../test/support/recordingPool.ts';
import { type BenchCaller, drawCallers, permissions } from './callers.ts';
import { formatTable } from './formatTable.ts';
import type { BenchDatabase, Ground } from './openGround.ts';
import { operations } from './operations.ts';
import type { Progress } from './progress.ts';
import type { Sizes } from './sizes.ts';
import { spreadOf } from './statistics.ts';

/** How often, and how long. */
export type RlsOptions = { sizes: Sizes; rounds: number; seconds: number };

/**
 * Measures the SQL that the API sends for each read: as the caller, under the
 * policies, and as superuser, whom no policy binds, with `org_id` written out. One
 * connection each, prepared statements, in turn.
 */
export async function compareRls(
  ground: Ground,
  { sizes, rounds, seconds }: RlsOptions,
  progress: Progress,
): Promise<string> {
  const database = await ground.openDatabase(sizes);
  const [caller] = await drawCallers(database.superuser, ground.issuer, 1);
  if (!caller) throw new RangeError('There is nobody to ask.');
  const guarded = new Client({ connectionString: database.apiUrl });
  const free = new Client({ connectionString: database.superuserUrl });
  await Promise.all([guarded.connect(), free.connect()]);
  try {
    await beCaller(guarded, caller, 'app_user');
    await beCaller(free, caller, 'postgres');
    const recorded = await recordSql(database, caller);
    const clocks = [await openClock(guarded), await openClock(free)] as const;
    const rows: string[][] = [];
    for (const { title, statements } of recorded) {
      progress.show(title);
      const written = statements.map((statement) => withOrgId(statement, caller.orgId));
      await assertSameRows(guarded, statements, free, written);
      const times: { on: number; off: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        const on = await meanMs(guarded, clocks[0], statements, seconds);
        times.push({ on, off: await meanMs(free, clocks[1], written, seconds) });
      }
      const on = spreadOf(times.map((time) => time.on));
      const off = spreadOf(times.map((time) => time.off));
      const ratio = spreadOf(times.map((time) => time.on / time.off));
      rows.push([
        title,
        String(statements.length),
        on.median.toFixed(3),
        off.median.toFixed(3),
        ratio.median.toFixed(2),
        `${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`,
      ]);
    }
    progress.say('Measured');
    const unit = existsSync('/proc/self/schedstat') ? 'CPU time of Postgres' : 'time';
    const head = [`${unit}, ms`, 'statements', 'RLS on', 'RLS off', 'on / off', 'range'];
    return formatTable(head, rows);
  } finally {
    await Promise.all([guarded.end(), free.end()]);
    await database.close();
  }
}

type Recorded = { title: string; statements: Statement[] };

/** The statements that the API sends for each read of a caller. */
async function recordSql(database: BenchDatabase, caller: BenchCaller): Promise<Recorded[]> {
  const pool = new Pool({ connectionString: database.apiUrl, max: 1 });
  try {
    const recording = makeRecordingPool(pool);
    const run = await makeOperations(recording.pool);
    const { userId, orgId, role: orgRole } = caller;
    const recorded: Recorded[] = [];
    for (const { name, title, document, variables } of operations) {
      if (name === 'Create') continue;
      recording.take();
      const { errors } = await run(
        { userId, orgId, orgRole, permissions },
        document,
        variables(caller) as Record<string, unknown>,
      );
      if (errors) throw new Error(`${name} failed`, { cause: errors[0] });
      recorded.push({ title, statements: recording.take() });
    }
    return recorded;
  } finally {
    await pool.end();
  }
}

const tenantTable = '"app_public"."documents"';

/** The same statement for whom row-level security does not bind. */
function withOrgId({ text, values }: Statement, orgId: string): Statement {
  if (!text.includes(tenantTable)) return { text, values };
  const filtered = `(select * from ${tenantTable} where org_id = $${values.length + 1})`;
  return { text: text.replaceAll(tenantTable, filtered), values: [...values, orgId] };
}

async function beCaller(client: Client, caller: BenchCaller, role: string): Promise<void> {
  const { userId, orgId, role: orgRole } = caller;
  const settings = pgSettings({ userId, orgId, orgRole, permissions }, '', 'read');
  for (const [name, value] of Object.entries({ ...settings, role })) {
    if (name === 'transaction_read_only') continue;
    await client.query('select set_config($1, $2, false)', [name, value]);
  }
}

async function assertSameRows(
  guarded: Client,
  statements: readonly Statement[],
  free: Client,
  written: readonly Statement[],
): Promise<void> {
  const all = async (client: Client, list: readonly Statement[]) =>
    JSON.stringify(await Promise.all(list.map(async (one) => (await execute(client, one)).rows)));
  if ((await all(guarded, statements)) !== (await all(free, written))) {
    throw new Error('With and without policies the statement has other rows.');
  }
}

/** Milliseconds that count for a connection, since some point. */
type Clock = () => number;

/** The CPU time of the connection's back-end where the kernel tells it, else the time of day. */
async function openClock(client: Client): Promise<Clock> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const file = `/proc/${rows[0]?.pid}/schedstat`;
  if (!existsSync(file)) return () => performance.now();
  return () => Number.parseInt(readFileSync(file, 'utf8'), 10) / 1e6;
}

async function meanMs(
  client: Client,
  clock: Clock,
  statements: readonly Statement[],
  seconds: number,
): Promise<number> {
  const untilMs = performance.now() + seconds * 1000;
  const startedMs = clock();
  let count = 0;
  do {
    for (const statement of statements) await execute(client, statement);
    count += 1;
  } while (performance.now() < untilMs);
  return (clock() - startedMs) / count;
}

const names = new Map<string, string>();

/** Prepared under a name, as the API does. */
function execute(client: Client, { text, values }: Statement) {
  const name = names.get(text) ?? `s${names.size}`;
  names.set(text, name);
  return client.query({ name, text, values: [...values], rowMode: 'array' });
}
