import { CommanderError, Option, Command as Program } from 'commander';
import { z } from 'zod';
import { ConfigError, loadConfig } from '../platform/config/loadConfig.ts';
import { type Command, commands } from './why.ts';
import { askWhy } from './whyAsk.ts';
import { WhyError } from './whyClients.ts';
import { renderAccess } from './whyReport.ts';

/** `npm run db:why`. Exits with 0 where it is allowed, 1 where it is denied, 2 where it could not say. */

type Flags = {
  user: string;
  org?: string;
  table: string;
  id?: string;
  role?: string;
  permission: string[];
  for: Command;
  values?: string;
  json?: true;
};

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof WhyError || error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  } else {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 2;
  }
}

async function main(): Promise<number> {
  const flags = parseArguments();
  const { user, org, role, permission, for: command, json, table, id } = flags;
  if (command === 'insert' && id !== undefined) {
    throw new WhyError('An insert is of a row that is not there yet: leave out --id.');
  }
  const values = flags.values === undefined ? undefined : readValues(flags.values, command);
  const { databaseOwnerUrl: ownerUrl, databaseUrl: apiUrl, isProduction } = loadConfig('none');
  if (!ownerUrl || !apiUrl) {
    throw new WhyError(
      'DATABASE_OWNER_URL and DATABASE_URL are needed, and not both are set; nor is the local stack (npm start) running.',
    );
  }
  const access = await askWhy(
    { ownerUrl, apiUrl, mayLock: !isProduction },
    {
      userId: user,
      orgId: org,
      role: role?.replace(/^org:/, ''),
      permissions: permission,
      table,
      command,
      id,
      values,
    },
  );
  process.stdout.write(json ? `${JSON.stringify(access, null, 2)}\n` : renderAccess(access));
  return access.allowed ? 0 : 1;
}

function readValues(text: string, command: Command): Record<string, unknown> {
  if (command !== 'insert' && command !== 'update') {
    throw new WhyError('Only an insert or an update writes --values.');
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(jsonOf(text));
  if (!parsed.success) {
    throw new WhyError('--values is a JSON object by columns, such as {"title":"x"}.');
  }
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseArguments(): Flags {
  const more = (item: string, items: string[]) => [...items, item];
  return new Program('npm run db:why --')
    .description(
      'Says whether a caller may do something, and which grant, policy or column decides. Changes nothing:\n' +
        'what it tries is rolled back. Reads as the login in DATABASE_OWNER_URL, and tries as that in DATABASE_URL.\n' +
        'Exits with 0 where it is allowed, 1 where it is denied, 2 where it could not say.',
    )
    .requiredOption('--user <id>', 'who')
    .option('--org <id>', 'in which organization (default: the personal space)')
    .requiredOption('--table <name>', 'what: a table of app_public, or schema.table')
    .option('--id <id>', 'which row: its uuid, or its node id')
    .option('--values <json>', 'what an insert or an update writes, by column: {"title":"x"}')
    .option('--role <role>', 'in which role (default: that of the membership)')
    .option('--permission <name>', 'with this permission; may be given again', more, [])
    .addOption(new Option('--for <command>', 'what for').choices([...commands]).default('select'))
    .option('--json', 'print JSON')
    .exitOverride()
    .parse()
    .opts<Flags>();
}
