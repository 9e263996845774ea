import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Pool } from 'pg';
import { pgSettings } from '../../db/claims.ts';
import { BatchQuery, type Statement } from '../../db/scope/BatchQuery.ts';
import { settingsStatement } from '../../db/scope/settings.ts';
import { statementOf } from './handwrittenSql.ts';
import { callerOf, listen, openPlainPool } from './serve.ts';

/**
 * What one would write by hand for exactly these operations: no GraphQL, one
 * statement of SQL that builds the answer. `--batch` sends settings and statement
 * as one batch; without it they go begin, settings, statement, commit.
 */

const pool = openPlainPool();
const run = process.argv.includes('--batch') ? inBatch : inTransaction;

const server = createServer(async (request, response) => {
  try {
    const { operationName, variables } = await readBody(request);
    const statement = statementOf(operationName, variables);
    const access = operationName === 'Create' ? 'write' : 'read';
    const settings = pgSettings(callerOf(request), '', access);
    const answer = Buffer.from(await run(pool, settings, statement));
    response.writeHead(200, {
      'content-type': 'application/graphql-response+json; charset=utf-8',
      'content-length': answer.length,
    });
    response.end(answer);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});
listen(server);

type Settings = Record<string, string>;

async function inBatch(pool: Pool, settings: Settings, statement: Statement): Promise<string> {
  const client = await pool.connect();
  const batch = [settingsStatement(settings, true), statement];
  const query = new BatchQuery(batch, { arrayMode: true, types: client });
  client.query(query as never);
  const { rows } = await query.result;
  client.release();
  return answerOf(rows);
}

async function inTransaction(
  pool: Pool,
  settings: Settings,
  statement: Statement,
): Promise<string> {
  const client = await pool.connect();
  await client.query('begin');
  await client.query(mutable(settingsStatement(settings, true)));
  const { rows } = await client.query({ ...mutable(statement), rowMode: 'array' });
  await client.query('commit');
  client.release();
  return answerOf(rows);
}

const mutable = ({ text, values = [], name }: Statement) => ({ text, values: [...values], name });

/** The statement's one row has one column: the answer as text. */
function answerOf(rows: readonly unknown[]): string {
  return (rows as [string][])[0]?.[0] ?? '';
}

type Body = { operationName: string; variables: Record<string, never> };

async function readBody(request: IncomingMessage): Promise<Body> {
  return JSON.parse((await buffer(request)).toString('utf8'));
}
