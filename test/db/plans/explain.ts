import pg, { type ClientBase } from 'pg';
import { z } from 'zod';
import type { Statement } from '../../support/recordingPool.ts';
import { nodeSchema, type PlanNode } from './planNode.ts';

/**
 * When a statement is looked at: at its first run, planned for the values at
 * hand, or after ten, when Postgres has chosen whether one plan will do for all.
 */
export type PlanMode = 'first' | 'settled';

/** Runs a statement and returns what its plan did. */
export async function analyze(
  client: ClientBase,
  statement: Statement,
  mode: PlanMode = 'first',
): Promise<PlanNode> {
  const options = 'analyze, buffers, verbose, timing off, summary off, format json';
  const [row] = await (mode === 'first' ? explain : explainSettled)(client, statement, options);
  const [explained] = outputSchema.parse(row?.['QUERY PLAN']);
  return explained.Plan;
}

/** The plan as text, without anything that depends on the rows. */
export async function planText(client: ClientBase, statement: Statement): Promise<string> {
  const rows = await explain(client, statement, 'costs off');
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

type Rows = Record<string, unknown>[];

async function explain(client: ClientBase, statement: Statement, options: string): Promise<Rows> {
  const { text, values } = statement;
  return (await client.query(`explain (${options}) ${text}`, [...values])).rows;
}

async function explainSettled(
  client: ClientBase,
  statement: Statement,
  options: string,
): Promise<Rows> {
  await client.query(`prepare prepared as ${statement.text}`);
  const values = statement.values.map((value) => pg.escapeLiteral(String(value))).join(', ');
  const execute = `execute prepared ${values && `(${values})`}`;
  for (let run = 0; run < 10; run++) {
    // What a mutation has done once it would not do again.
    await client.query(`savepoint run; ${execute}; rollback to savepoint run`);
  }
  const { rows } = await client.query(`explain (${options}) ${execute}`);
  await client.query('deallocate prepared');
  return rows;
}

const outputSchema = z.tuple([z.object({ Plan: nodeSchema })]);
