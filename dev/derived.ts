import '../server/graphileEnv.ts';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { Client } from 'pg';
import { makeSchema } from 'postgraphile';
import { lexicographicSortSchema, printSchema } from 'postgraphile/graphql';
import { readCatalogue } from '../db/catalogue.ts';
import { houseIgnores, readLintIgnores } from '../db/lintIgnores.ts';
import { makeLintReport, renderLintReport } from '../db/lintReport.ts';
import { readLintRules } from '../db/lintRules.ts';
import { migrate } from '../db/migrate.ts';
import { openPool } from '../db/pool.ts';
import { projectRoot } from '../platform/config/settings.ts';
import { makePreset } from '../server/preset.ts';
import { openPostgres } from './postgres.ts';

/**
 * `npm run schema:print`, `npm run catalogue`: files that are derived from the
 * committed migrations. Both come from a fresh database in a Postgres of their
 * own, so that they are the same wherever they are written.
 */

const derived: Record<string, { file: string; make: (urls: Urls) => Promise<string> }> = {
  schema: { file: 'schema.graphql', make: makeSchemaFile },
  catalogue: { file: 'db/catalogue.sql', make: makeCatalogueFile },
};

type Urls = { apiUrl: string; ownerUrl: string };

const { args, check, lint } = parseArguments();
const postgres = await openPostgres({ ephemeral: true });
try {
  const url = (login: string) => postgres.urlFor(login, 'rowhouse');
  const urls = { apiUrl: url('rowhouse_api'), ownerUrl: url('rowhouse_owner') };
  await migrate({ ...urls, workerUrl: url('rowhouse_worker'), onProgress: () => {} });
  for (const name of args) await writeOrCompare(name, urls);
  if (lint) await lintCatalogue(urls);
} finally {
  await postgres.close();
}

function parseArguments(): { args: string[]; check: boolean; lint: boolean } {
  const names = Object.keys(derived);
  const command = new Command(`npm run ${process.env.npm_lifecycle_event ?? 'derived'} --`)
    .description('Writes the files derived from the committed migrations.')
    .argument('[files...]', `which: ${names.join(', ')} (default: all)`)
    .option('--check', 'write nothing; exit 1 and name each file that is out of date')
    .option(
      '--lint',
      'lint the fresh database as well, as npm run db:lint does; exit 1 with findings',
    )
    .parse();
  const unknown = command.args.find((name) => !names.includes(name));
  if (unknown)
    command.error(`There is no derived file "${unknown}"; there are: ${names.join(', ')}.`);
  const { check = false, lint = false } = command.opts<{ check?: true; lint?: true }>();
  return { args: command.args.length > 0 ? command.args : names, check, lint };
}

async function writeOrCompare(name: string, urls: Urls): Promise<void> {
  const entry = derived[name];
  if (!entry) throw new Error(`No derived file ${name}.`);
  const path = join(projectRoot, entry.file);
  const text = await entry.make(urls);
  if (!check) {
    await writeFile(path, text);
    process.stdout.write(`Wrote ${entry.file}.\n`);
  } else if (text !== (await readFile(path, 'utf8').catch(() => ''))) {
    process.stderr.write(
      `${entry.file} is out of date: run npm run ${name === 'schema' ? 'schema:print' : name}.\n`,
    );
    process.exitCode = 1;
  }
}

/** On the database that is there anyway, so that the check needs no other. */
async function lintCatalogue({ ownerUrl }: Urls): Promise<void> {
  const rules = readLintRules();
  const report = await makeLintReport(ownerUrl, rules, readLintIgnores(houseIgnores, rules));
  if (report.findings.length === 0) return;
  process.stderr.write(renderLintReport(report, rules));
  process.exitCode = 1;
}

async function makeSchemaFile({ apiUrl }: Urls): Promise<string> {
  const pool = openPool({
    connectionString: apiUrl,
    size: 1,
    applicationName: 'rowhouse-schema',
    onConnectionError: () => {},
  });
  try {
    const { schema } = await makeSchema(makePreset({ pool }));
    return `${printSchema(lexicographicSortSchema(schema))}\n`;
  } finally {
    await pool.end();
  }
}

async function makeCatalogueFile({ ownerUrl }: Urls): Promise<string> {
  const client = new Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    return await readCatalogue(client);
  } finally {
    await client.end();
  }
}
