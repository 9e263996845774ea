import { readFileSync } from 'node:fs';
import pg, { type ClientBase } from 'pg';
import type { LintRule } from './lintRules.ts';
import { findOwnSchemas, houseMarks } from './ownSchemas.ts';

/** What the lint calls ours: schemas, roles and the tenant column. */
export type LintOptions = {
  /** Undefined: those that the database shows to be ours, by `findOwnSchemas`. */
  schemas?: readonly string[] | undefined;
  /** Those of the schemas that the API shows. */
  exposedSchemas: readonly string[];
  /** Those of the schemas that no request may enter. */
  privateSchemas: readonly string[];
  tenantColumn: string;
  /** The roles that requests run as. */
  requestRoles: readonly string[];
  /** The logins to look at; none means all of the cluster. */
  loginRoles: readonly string[];
};

/** One thing that breaks a rule. */
export type LintFinding = {
  rule: string;
  level: LintRule['level'];
  /** What it is about: `app_public.documents`, `app_public.documents.title`, `app_public.me()`, a role. */
  object: string;
  /** What is the matter, in a sentence. */
  detail: string;
  /** SQL that would mend it, to be read before it is run; null where none can be told. */
  fix: string | null;
};

/** What a lint found, and what it could not look at. */
export type LintResult = {
  /** The database's name. */
  database: string;
  /** How many rules ran. */
  rules: number;
  /** How many objects they looked at, by kind. */
  objects: { tables: number; policies: number; indexes: number; functions: number };
  findings: LintFinding[];
  /** What is missing, and the rules that were left out because of it. */
  skipped: { why: string; rules: string[] }[];
  /** The schemas that it looked at. */
  schemas: string[];
};

/** A lint that did not come to its end. Its message holds no secret. */
export class LintError extends Error {
  override readonly name = 'LintError';
}

/** How Rowhouse calls things. */
export const houseOptions: LintOptions = {
  exposedSchemas: ['app_public'],
  privateSchemas: ['app_private'],
  tenantColumn: 'org_id',
  requestRoles: ['app_user'],
  loginRoles: [],
};

/**
 * Lints a database in one transaction that can only read.
 * @throws LintError where the database cannot be reached, or does not let this login look.
 */
export async function lintDatabase(
  connectionString: string,
  rules: readonly LintRule[],
  options: LintOptions = houseOptions,
): Promise<LintResult> {
  const client = new pg.Client({
    connectionString,
    application_name: 'rowhouse-lint',
    connectionTimeoutMillis: 10_000,
  });
  // The query that fails with the connection tells of it.
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (cause) {
    throw new LintError(`The database cannot be reached: ${reasonOf(cause)}`, { cause });
  }
  try {
    await client.query(
      `begin transaction isolation level repeatable read, read only; set local statement_timeout = ${statementTimeoutMs}; set local lock_timeout = ${lockTimeoutMs}`,
    );
    return await lint(client, rules, options);
  } catch (cause) {
    if (cause instanceof LintError) throw cause;
    throw new LintError(`The database could not be read: ${reasonOf(cause)}`, { cause });
  } finally {
    await client.end();
  }
}

/**
 * Lints within the open transaction of a connection, whose search_path it changes.
 * @throws LintError, naming the rule that failed, or where there is none of the schemas.
 */
export async function lint(
  client: Pick<ClientBase, 'query'>,
  rules: readonly LintRule[],
  given: LintOptions = houseOptions,
): Promise<LintResult> {
  await client.query('set local search_path = pg_catalog; set local jit = off');
  const expected = given.schemas ?? [...given.exposedSchemas, ...given.privateSchemas];
  const marks = { named: [...houseMarks.named, ...expected], requestRoles: given.requestRoles };
  const looked = given.schemas ?? (await findOwnSchemas(client, marks));
  const options: Looking = { ...given, looked };
  const [survey] = await run<Survey>(client, surveySql, options);
  if (!survey) throw new LintError('The catalogue could not be surveyed.');
  if (survey.version < oldestVersion) {
    throw new LintError('The lint reads the catalogue of Postgres 15 and later.');
  }
  if (!expected.some((schema) => survey.schemas.includes(schema))) {
    throw new LintError(
      `The database ${survey.database} has no schema ${expected.join(', ')}: is it the right one? --schemas names others.`,
    );
  }
  const missing = missingNeeds(survey, options);
  const canRun = (rule: LintRule) => !rule.needs.some((need) => missing.has(need));
  const runnable = rules.filter(canRun);
  const findings = await findAll(
    runnable,
    (sql) => run<LintFinding>(client, sql, options),
    (sql) => client.query(sql),
  );
  return {
    database: survey.database,
    rules: runnable.length,
    objects: {
      tables: survey.tables,
      policies: survey.policies,
      indexes: survey.indexes,
      functions: survey.functions,
    },
    findings,
    skipped: [
      ...expected
        .filter((schema) => !survey.schemas.includes(schema))
        .map((schema) => ({ why: `there is no schema ${schema}`, rules: [] })),
      ...options.requestRoles
        .filter((role) => survey.roles.length > 0 && !survey.roles.includes(role))
        .map((role) => ({ why: `there is no role ${role}`, rules: [] })),
      ...[...missing].map(([need, why]) => ({
        why,
        rules: rules.filter(({ needs }) => needs.includes(need)).map(({ name }) => name),
      })),
    ],
    schemas: survey.schemas,
  };
}

/** The options, and the schemas that they come to. */
type Looking = LintOptions & { looked: readonly string[] };

type Survey = LintResult['objects'] & {
  database: string;
  version: number;
  schemas: string[];
  roles: string[];
  has_tenants: boolean;
};

function missingNeeds(
  survey: Survey,
  options: LintOptions,
): Map<LintRule['needs'][number], string> {
  const missing = new Map<LintRule['needs'][number], string>();
  if (!survey.has_tenants) missing.set('tenant', `no table has a column ${options.tenantColumn}`);
  if (survey.roles.length === 0) {
    missing.set('request role', `there is no role ${options.requestRoles.join(', ')}`);
  }
  return missing;
}

/**
 * All rules in one statement: Postgres reads the catalogue once for all of them.
 * Where it fails, each rule by itself, to tell which it was.
 */
async function findAll(
  rules: readonly LintRule[],
  ask: (sql: string) => Promise<LintFinding[]>,
  command: (sql: string) => Promise<unknown>,
): Promise<LintFinding[]> {
  if (rules.length === 0) return [];
  await command('savepoint lint');
  try {
    return await ask(`${rules.map(selectFindings).join('\nunion all\n')}\norder by 1, 3, 4`);
  } catch (cause) {
    await command('rollback to savepoint lint');
    for (const rule of rules) {
      await ask(selectFindings(rule)).catch((why: unknown) => {
        throw new LintError(`The rule ${rule.name} could not be run: ${reasonOf(why)}`, {
          cause: why,
        });
      });
    }
    throw cause;
  }
}

function selectFindings({ name, level, query }: LintRule): string {
  return `select '${name}' as rule, '${level}' as level, object::text, detail::text, fix::text from (\n${query}\n) as finding (object, detail, fix)`;
}

async function run<Row extends object>(
  client: Pick<ClientBase, 'query'>,
  sql: string,
  options: Looking,
): Promise<Row[]> {
  const { rows } = await client.query<Row>(`with ${catalogueSql}\n${sql}`, [
    options.looked,
    options.exposedSchemas,
    options.privateSchemas,
    options.tenantColumn,
    options.requestRoles,
    options.loginRoles,
    options.schemas ?? [],
  ]);
  return rows;
}

/** What the server or the system says; neither repeats a password. */
function reasonOf(cause: unknown): string {
  const { message, code } = cause as { message?: string; code?: string };
  // Node's error of several addresses has a code and no message.
  return message || code || 'for no reason that is known.';
}

const statementTimeoutMs = 30_000;
const lockTimeoutMs = 2_000;
const oldestVersion = 150_000;

const catalogueSql = readFileSync(new URL('./lintCatalogue.sql', import.meta.url), 'utf8');

const surveySql = `
  select
    current_database()::text as database,
    current_setting('server_version_num')::int as version,
    array(select schema::text from linted_schema order by 1) as schemas,
    array(select rolname::text from request_role) as roles,
    exists (select from linted_table where tenant is not null) as has_tenants,
    (select count(*)::int from linted_table) as tables,
    (select count(*)::int from linted_policy) as policies,
    (select count(*)::int from linted_index) as indexes,
    (select count(*)::int from linted_function) as functions`;
