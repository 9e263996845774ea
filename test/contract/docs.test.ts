import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { houseOptions } from '../../db/lint.ts';
import { houseIgnores, readLintIgnores } from '../../db/lintIgnores.ts';
import { makeLintReport } from '../../db/lintReport.ts';
import { readLintRules } from '../../db/lintRules.ts';
import { projectRoot, settings } from '../../platform/config/settings.ts';
import { errorCodes } from '../../platform/errors/registry.ts';
import { conventions } from '../db/conventions.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { runSql } from '../support/emptyDatabase.ts';
import { until } from '../support/until.ts';
import { generatedPages, listPages, readPage, readProse, readSamples } from './samples.ts';

const pages = await listPages();
const written = pages.filter((page) => !generatedPages.includes(page));
const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

describe('the README', () => {
  test('has at most 150 lines', () => {
    expect(readPage('README.md').trimEnd().split('\n').length).toBeLessThan(150);
  });
});

describe.each(pages)('%s', (page) => {
  test('has links that lead somewhere', () => {
    const links = [...readProse(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => !/^https?:/.test(link) && !leadsSomewhere(page, link));
    expect(broken).toEqual([]);
  });

  test('names scripts that there are', () => {
    expect(scriptsIn(readPage(page)).filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe.each(written)('%s', (page) => {
  test('names settings, codes and values that there are', () => {
    const names = words(page, /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?==|$)/);
    expect(names.filter((name) => !isKnownName(name))).toEqual([]);
  });

  test('names files and folders that there are', () => {
    const paths = words(
      page,
      /^\.?[\w-]+(?:\/[\w.@-]+)*(?:\/|\.(?:ts|mjs|json5?|sql|sh|md|graphql))$/,
    );
    const missing = paths.filter((path) => path.includes('/') && !isKnownPath(path));
    expect(missing).toEqual([]);
  });

  test('has samples only where a test runs them', () => {
    const kinds = new Set(readSamples(page).map(({ language }) => language));
    expect([...kinds].filter((kind) => !(runBy[page] ?? []).includes(kind))).toEqual([]);
  });
});

describe('scripts of package.json', () => {
  test('are each described on some page', () => {
    const described = new Set(written.flatMap((page) => scriptsIn(readPage(page))));
    // npm runs those before the scripts they are named after.
    const ours = Object.keys(scripts).filter(
      (name) => !(name.replace(/^pre/, '') in scripts && name.startsWith('pre')),
    );
    expect(ours.filter((name) => !described.has(name))).toEqual([]);
  });
});

describe('decisions', () => {
  const decisions = pages.filter((page) => /^docs\/adr\/\d/.test(page));

  test('are numbered without gaps', () => {
    const numbers = decisions.map((page) => Number(page.match(/(\d{4})/)?.[1]));
    expect(numbers).toEqual(decisions.map((_, index) => index + 1));
  });

  test.each(decisions)(
    '%s has its number, context, decision and consequences, on one page',
    (page) => {
      const text = readPage(page);
      const number = page.match(/\d{4}/)?.[0];
      expect(text).toMatch(new RegExp(`^# ${number} `));
      expect(headings(text).slice(1)).toEqual(['Context', 'Decision', 'Consequences']);
      expect(text.split('\n').length).toBeLessThan(70);
    },
  );

  test('are each in the index, under their title', () => {
    const index = readPage('docs/adr/README.md');
    for (const page of decisions) {
      const [, title = ''] = readPage(page).match(/^# \d{4} (.+)$/m) ?? [];
      expect(index).toContain(page.replace('docs/adr/', ''));
      expect(index).toContain(`| ${title}`);
    }
  });
});

describe('samples of SQL', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await openTestDatabase();
    await database.provision({ userId: 'user_alice', orgId: 'org_acme', orgRole: 'admin' });
  });
  afterAll(() => database.close());

  test('of the tenancy page run, and find no table unguarded', async () => {
    const samples = readSamples('docs/tenancy.md');
    expect(samples.length).toBeGreaterThan(0);
    for (const { text } of samples) {
      const results = [await database.superuser.query(text)].flat();
      expect(results.flatMap(({ rows }) => rows.filter((row) => 'unguarded' in row))).toEqual([]);
    }
  });

  test('of the runbook run as the owner, and repair what they are for', async () => {
    await prepareTroubledQueue(database);
    // Nobody is declared dead right after Postgres started.
    await until(
      'Postgres to be up for a while',
      async () => {
        const up =
          "select now() - pg_postmaster_start_time() > interval '12 seconds' as long_enough";
        const { rows } = await database.superuser.query(up);
        return rows[0].long_enough;
      },
      20_000,
    );
    const samples = readSamples('docs/runbook.md');
    expect(samples.length).toBeGreaterThan(0);
    for (const { text, line } of samples) {
      await runSql(database.ownerUrl, text).catch((cause: unknown) => {
        throw new Error(`docs/runbook.md:${line} fails.`, { cause });
      });
    }
    const left = await runSql(
      database.ownerUrl,
      'select key from graphile_worker.jobs where locked_at is not null or attempts >= max_attempts',
    );
    expect(left).toEqual([]);
  });

  test.each(['README.md', 'docs/schema-guide.md'])(
    'of %s keep to the catalogue lint and the conventions of every table',
    async (page) => {
      const samples = readSamples(page).filter(({ language }) => language === 'sql');
      expect(samples).toHaveLength(1);
      for (const { text } of samples) await runSql(database.ownerUrl, text);
      const rules = readLintRules();
      const ignores = readLintIgnores(houseIgnores, rules);
      const report = await makeLintReport(database.ownerUrl, rules, ignores, {
        ...houseOptions,
        // Other tests of the cluster make logins of their own.
        loginRoles: ['rowhouse_api', 'rowhouse_worker'],
      });
      expect(report.findings).toEqual([]);
      const broken: string[] = [];
      for (const { claim, offenders } of conventions) {
        const { rows } = await database.superuser.query(offenders);
        if (rows.length > 0) broken.push(`${claim}: ${JSON.stringify(rows)}`);
      }
      expect(broken).toEqual([]);
    },
  );
});

/** Which kinds of samples of a page are run: by readme.test.ts, and those of SQL above. */
const runBy: Record<string, readonly string[]> = {
  'README.md': ['sh', 'graphql', 'sql'],
  'docs/relay.md': ['graphql', 'json'],
  'docs/ai.md': ['graphql'],
  'docs/audit.md': ['graphql'],
  'docs/schema-guide.md': ['sql', 'graphql'],
  'docs/tenancy.md': ['sql'],
  'docs/pgbouncer.md': ['ini'],
  'docs/runbook.md': ['sql'],
  // In a browser, by uploads.test.ts.
  'docs/uploads.md': ['js', 'sql', 'sh'],
  // A picture; the folders in it are checked as the page's words are.
  'docs/architecture.md': ['mermaid'],
};

/** Names in capitals that are neither settings nor codes nor values of the API, with where they are. */
const otherNames = [
  'AWS_ENDPOINT_URL',
  'AWS_PROFILE',
  // glibc's, which `npm run serve` sets.
  'MALLOC_ARENA_MAX',
  // test/graphql/golden.test.ts
  'UPDATE_GOLDEN',
  // test/isolation/proof.test.ts
  'PROOF_SEED',
  'PROOF_OPERATIONS',
];

function isKnownName(name: string): boolean {
  const variables = Object.values(settings).map(({ variable }) => variable as string);
  return (
    variables.includes(name) ||
    name in errorCodes ||
    otherNames.includes(name) ||
    readPage('docs/ai-service.openapi.yaml').includes(name) ||
    new RegExp(`^  ${name}$`, 'm').test(readPage('schema.graphql'))
  );
}

/** Folders that are promised and still empty, and what is made when something runs. */
const otherPaths = ['services/', 'bench/', '.data/', '.data/postgres', '.data/postgres.log'];

function isKnownPath(path: string): boolean {
  return existsSync(join(projectRoot, path)) || otherPaths.includes(path);
}

/** What stands between backticks on a page, where it is of this form. */
function words(page: string, form: RegExp): string[] {
  const spans = [...readProse(page).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
  return spans.flatMap((span) => span.match(form)?.[0] ?? []);
}

/** Scripts that a text says to run. */
function scriptsIn(text: string): string[] {
  const runs = [...text.matchAll(/\bnpm run (?:-s )?([a-z][\w:-]*)/g)].map(([, name = '']) => name);
  const short = [...text.matchAll(/\bnpm (start|test)\b/g)].map(([, name = '']) => name);
  return [...runs, ...short];
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(projectRoot, target))) return false;
  return anchor === undefined || headings(readPage(target)).map(slug).includes(anchor);
}

function headings(text: string): string[] {
  return [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(
    ([, heading = '']) => heading,
  );
}

/** As GitHub makes anchors of headings. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** A job that failed for good, and one that a worker which is gone has locked. */
async function prepareTroubledQueue({ superuser, ownerUrl }: TestDatabase): Promise<void> {
  await runSql(
    ownerUrl,
    "select graphile_worker.add_job('documents__index', job_key => key) from unnest(array['dead', 'locked']) as key",
  );
  await superuser.query(
    `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'no' where key = 'dead';
     update graphile_worker._private_jobs
     set locked_at = now() - interval '1 hour', locked_by = 'worker-gone' where key = 'locked'`,
  );
}
