import { deploymentVariables } from './environment.ts';
import { rules } from './rules.ts';
import { type Setting, settingRows } from './settings.ts';

/** The text of docs/configuration.md, from the table of settings and the rules. */
export function renderConfigurationPage(): string {
  const rows = settingRows.map(([, setting]) => setting);
  const sections = [...new Set(rows.map(({ section }) => section))];
  return [
    ...intro(),
    ...sections.flatMap((section) => [
      `## ${section}`,
      '',
      '| variable | meaning | default | allowed | required by |',
      '|---|---|---|---|---|',
      ...rows.filter((setting) => setting.section === section).map(renderRow),
      '',
    ]),
    '## Rules between settings',
    '',
    ...rules.map(
      ({ variables, processes, allowed }) =>
        `- ${names(variables)}${processes ? ` (${processes.join(', ')})` : ''}: ${allowed}`,
    ),
    '',
  ].join('\n');
}

function intro(): string[] {
  return [
    '# Configuration',
    '',
    '<!-- Written by `npm run docs` from platform/config/settings.ts. Do not edit. -->',
    '',
    'Every setting is an environment variable. They are read once, when a process starts, and',
    'checked together: a process that cannot start lists everything that is wrong, without showing',
    'a secret. An empty variable counts as unset. A name that begins with `ROWHOUSE_` and is not on',
    'this page is an error. `npm run config:print` shows the values in effect.',
    '',
    '## Where values come from',
    '',
    'The strongest first:',
    '',
    '1. the environment of the process;',
    '2. `.env` in the folder of the project;',
    '3. `local.env` in the data folder, written by the running local stack. It holds the URLs of what',
    '   the stack runs, and `NODE_ENV=development`.',
    '',
    'The two files are for development: they are read only where `NODE_ENV` is unset or',
    '`development`, never where it is `production` or `test`. Set `NODE_ENV=production` in every real',
    'deployment. Where nothing at all says otherwise, the mode is production.',
    '',
    '`local.env` is all or nothing. It is not used where `.env` sets another `NODE_ENV`, nor as soon',
    'as the environment or `.env` sets one of the following, so that a real deployment is never mixed',
    `with a local stack: ${names(deploymentVariables)}.`,
    '',
    '## The pool rule',
    '',
    'A request waits 2 s for a connection of its process and is then told `UNAVAILABLE`. How many a',
    'process needs is `2 × requests per second at the peak × seconds each holds a connection`, at least 4;',
    '`db_client_connection_use_time` in `/metrics` says how long that is. More connections than about',
    'four per Postgres core, over all processes, do not make anything faster; they only wait in another',
    'place.',
    '',
    'Postgres refuses connections beyond its `max_connections`. Keep, with everything at its largest,',
    'old and new processes of a deployment running side by side:',
    '',
    '```',
    'API processes × (DATABASE_POOL_SIZE + 1)',
    '  + worker processes × (the larger of DATABASE_POOL_SIZE and WORKER_CONCURRENCY + 2)',
    '  + 10 ≤ max_connections',
    '```',
    '',
    'The 1 is for readiness, the 10 are for migrations, monitoring and the superuser. With 4 API processes',
    'and 2 workers at the defaults, doubled in a deployment, that is 8 × 11 + 4 × 10 + 10 = 138, more than',
    'the 100 that Postgres allows by default: set `DATABASE_POOL_SIZE` to 5, raise `max_connections`, or put',
    'PgBouncer in between.',
    '',
    '[Behind PgBouncer](pgbouncer.md) the API processes count in `max_client_conn`, and in',
    '`max_connections` only what PgBouncer opens for them:',
    '',
    '```',
    'API processes × (DATABASE_POOL_SIZE + 1) ≤ max_client_conn',
    'PgBouncers × default_pool_size',
    '  + worker processes × (the larger of DATABASE_POOL_SIZE and WORKER_CONCURRENCY + 2)',
    '  + 10 ≤ max_connections',
    '```',
    '',
  ];
}

function renderRow(setting: Setting): string {
  const { variable, meaning, tradeOff, kind, reveal, requiredBy } = setting;
  const isSecret = reveal === 'nothing' || reveal === 'urlWithoutPassword';
  const cells = [
    `\`${variable}\``,
    [meaning, tradeOff, isSecret ? 'Secret.' : undefined].filter(Boolean).join(' '),
    renderDefault(setting),
    kind.description ?? '',
    requiredBy.join(', '),
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function renderDefault(setting: Setting): string {
  const { default: text, unit } = setting;
  if (typeof text !== 'object') return value(text, unit);
  return `${value(text.production, unit)} in production, ${value(text.otherwise, unit)} otherwise`;
}

function value(text: string | undefined, unit: string | undefined): string {
  if (text === undefined || text === '') return 'none';
  return unit === undefined ? `\`${text}\`` : `\`${text}\` ${unit}`;
}

function names(variables: readonly string[]): string {
  return variables.map((variable) => `\`${variable}\``).join(', ');
}
