import { Command, CommanderError, Option } from 'commander';
import { parsePostgresUrl } from '../platform/config/kinds.ts';
import { ConfigError, loadConfig } from '../platform/config/loadConfig.ts';
import { houseOptions, LintError, type LintOptions } from './lint.ts';
import { houseIgnores, LintIgnoreError, readLintIgnores } from './lintIgnores.ts';
import { makeLintReport, renderLintReport } from './lintReport.ts';
import { type LintRule, LintRuleError, readLintRules } from './lintRules.ts';

/** `npm run db:lint`. Exits with 0 where nothing is found, 1 with findings, 2 where it could not run. */

type Arguments = Omit<LintOptions, 'requestRoles' | 'loginRoles'> & {
  requestRole: string[];
  loginRole: string[];
  databaseUrl?: string;
  rule?: string[];
  list?: true;
  json?: true;
  ignores: string | false;
};

const list = (text: string) => text.split(',').filter((item) => item !== '');

const names = (
  option: string,
  meaning: string,
  byDefault: readonly string[],
  defaultText = byDefault.join(','),
) =>
  new Option(`--${option} <names>`, meaning).argParser(list).default([...byDefault], defaultText);

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (isForeseen(error)) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  } else {
    throw error;
  }
}

async function main(): Promise<number> {
  const { databaseUrl, rule: wanted, list: isList, json, ignores, ...given } = parseArguments();
  const { requestRole, loginRole, ...named } = given;
  const options = { ...named, requestRoles: requestRole, loginRoles: loginRole };
  const all = readLintRules();
  const rules = wanted ? wanted.map((name) => findRule(all, name)) : all;
  if (isList) {
    process.stdout.write(renderList(rules, json ?? false));
    return 0;
  }
  const kept = ignores === false ? [] : readLintIgnores(ignores, all);
  const report = await makeLintReport(urlToLint(databaseUrl), rules, kept, options);
  process.stdout.write(
    json ? `${JSON.stringify(report, null, 2)}\n` : renderLintReport(report, rules),
  );
  return report.findings.length === 0 ? 0 : 1;
}

function parseArguments(): Arguments {
  return new Command('npm run db:lint --')
    .description(
      'Looks in the catalogue of a database for what would let one tenant see another, and for slips.\n' +
        'Reads only, and any login will do. The database is that of DATABASE_OWNER_URL.\n' +
        'Exits with 0 where nothing is found, 1 with findings, 2 where it could not run.',
    )
    .option(
      '--database-url <url>',
      'another database; others of the machine can read arguments, so leave the password to PGPASSWORD',
    )
    .option('--rule <names>', 'only these rules, separated by commas', list)
    .option('--list', 'list the rules and look at nothing')
    .option('--json', 'print JSON')
    .addOption(
      new Option('--ignores <file>', 'what is ignored, and why').default(
        houseIgnores,
        'db/lint/ignores.json',
      ),
    )
    .option('--no-ignores', 'ignore nothing')
    .option(
      '--schemas <names>',
      'the schemas that are yours (default: all that requests or the logins of the house may use, or its owner owns)',
      list,
    )
    .addOption(names('exposed-schemas', 'those that the API shows', houseOptions.exposedSchemas))
    .addOption(
      names('private-schemas', 'those that no request may enter', houseOptions.privateSchemas),
    )
    .option('--tenant-column <name>', 'says whose a row is', houseOptions.tenantColumn)
    .addOption(names('request-role', 'what requests run as', houseOptions.requestRoles))
    .addOption(
      names('login-role', 'the logins to look at', houseOptions.loginRoles, 'all of the cluster'),
    )
    .exitOverride()
    .parse()
    .opts<Arguments>();
}

function findRule(rules: readonly LintRule[], name: string): LintRule {
  const rule = rules.find((one) => one.name === name);
  if (!rule) throw new LintError(`There is no rule "${name}"; --list lists them.`);
  return rule;
}

function urlToLint(given: string | undefined): string {
  if (given === undefined) {
    const { databaseOwnerUrl } = loadConfig('none');
    if (databaseOwnerUrl) return databaseOwnerUrl;
    throw new LintError(
      'DATABASE_OWNER_URL is not set, and the local stack (npm start) is not running. --database-url names another database.',
    );
  }
  if (parsePostgresUrl(given)) return given;
  throw new LintError(
    '--database-url is not of the form postgres://user:password@host:port/database, special characters in user and password percent-encoded.',
  );
}

function renderList(rules: readonly LintRule[], isJson: boolean): string {
  if (isJson) {
    const rows = rules.map(({ query: _, ...rule }) => rule);
    return `${JSON.stringify(rows, null, 2)}\n`;
  }
  const width = Math.max(...rules.map(({ name }) => name.length));
  return rules
    .map(({ name, level, title }) => `${name.padEnd(width)}  ${level.padEnd(7)}  ${title}\n`)
    .join('');
}

function isForeseen(error: unknown): error is Error {
  return [LintError, LintRuleError, LintIgnoreError, ConfigError].some(
    (kind) => error instanceof kind,
  );
}
