import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findFreePort } from '../../dev/ports.ts';
import { projectRoot } from '../../platform/config/settings.ts';
import { openTestDatabase } from '../support/database.ts';
import { runSql } from '../support/emptyDatabase.ts';
import { type FileGround, openFileGround } from '../support/files.ts';
import { readSamples } from './samples.ts';

/** The samples of docs/uploads.md, as they stand there, in a browser and across origins. */

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const isThere = existsSync(executablePath);
if (!isThere)
  process.stdout.write(`Left out, for want of a browser at ${executablePath}: uploads.\n`);

/** What a phone has and a browser has not. */
const phoneModules: Record<string, string> = {
  '/expo-crypto.js': `export const CryptoDigestAlgorithm = { SHA256: 'SHA-256' };
    export const digest = (algorithm, bytes) => crypto.subtle.digest(algorithm, bytes);`,
  '/expo-file-system.js': `export class File {
    constructor(uri) { this.uri = uri; }
    async bytes() { return new Uint8Array(await (await fetch(this.uri)).arrayBuffer()); }
  }`,
};
const html = `<!doctype html><title>x</title><script type="importmap">
  {"imports": {"expo-crypto": "/expo-crypto.js", "expo-file-system": "/expo-file-system.js"}}</script>`;

let pages: Server;
let ground: FileGround;
let browser: Browser;
let page: Page;

const describeInBrowser = isThere ? describe : describe.skip;

describeInBrowser('in a browser', () => {
  beforeAll(async () => {
    const port = await findFreePort();
    const origin = `http://localhost:${port}`;
    pages = createServer((request, response) => {
      const path = request.url ?? '/';
      const script = phoneModules[path] ?? samples()[path];
      response.setHeader('Content-Type', script === undefined ? 'text/html' : 'text/javascript');
      response.end(script ?? html);
    }).listen(port);
    ground = await openFileGround({ CORS_ORIGINS: origin });
    await ground.startWorker();
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    page = await browser.newPage();
    await page.goto(origin);
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await ground?.close();
    pages?.close();
  });

  test('the sample for browsers uploads a file, says how far it is, and resolves when it is ready', async () => {
    const outcome = await page.evaluate(
      async ({ api, token }) => {
        const { uploadFile } = await import('/upload.js' as string);
        const graphql = async (query: string, variables: object) => {
          const response = await fetch(`${api}/graphql`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
            body: JSON.stringify({ query, variables }),
          });
          const { data, errors } = (await response.json()) as Answer;
          if (errors) throw new Error(errors[0]?.extensions.code);
          return data;
        };
        const seen: number[] = [];
        const blob = new Blob(['Sell more anvils. '.repeat(50_000)], { type: 'text/plain' });
        const file = await uploadFile(graphql, blob, 'größe "1".txt', (part: number) =>
          seen.push(part),
        );
        const text = await (await fetch(file.downloadUrl.url)).text();
        return { status: file.status, isSame: text === (await blob.text()), last: seen.at(-1) };
      },
      { api: ground.api.url, token: ground.token },
    );
    expect(outcome).toEqual({ status: 'READY', isSame: true, last: 1 });
  });

  test('the sample for React Native uploads what a picker returned', async () => {
    const outcome = await page.evaluate(
      async ({ api, token }) => {
        const { uploadPicked } = await import('/uploadNative.js' as string);
        const graphql = async (query: string, variables: object) => {
          const response = await fetch(`${api}/graphql`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
            body: JSON.stringify({ query, variables }),
          });
          return ((await response.json()) as Answer).data;
        };
        const uri = URL.createObjectURL(new Blob(['Sell more anvils.']));
        const picked = { uri, fileName: 'note.txt', mimeType: 'text/plain' };
        const seen: number[] = [];
        const file = await uploadPicked(graphql, picked, (part: number) => seen.push(part));
        const text = await (await fetch(file.downloadUrl.url)).text();
        return { status: file.status, text, last: seen.at(-1) };
      },
      { api: ground.api.url, token: ground.token },
    );
    expect(outcome).toEqual({ status: 'READY', text: 'Sell more anvils.', last: 1 });
  });

  test('a page of another origin may read nothing of the API', async () => {
    await page.goto('data:text/html,x');
    const outcome = await page.evaluate(
      (api) => fetch(`${api}/graphql`, { method: 'POST' }).then(String, String),
      ground.api.url,
    );
    expect(outcome).toContain('TypeError');
  });
});

describe('the other samples', () => {
  const sampleOf = (kind: string) =>
    readSamples('docs/uploads.md').find(({ language }) => language === kind)?.text ?? '';

  test('limits of an organization are set as the page says', async () => {
    const database = await openTestDatabase();
    try {
      await database.provision({ userId: 'user_alice', orgId: 'org_acme' });
      for (let i = 0; i < 2; i += 1) await runSql(database.ownerUrl, sampleOf('sql'));
      const { rows } = await database.superuser.query('select * from app_private.upload_settings');
      expect(rows).toMatchObject([
        { org_id: 'org_acme', max_bytes: '50000000', quota_files: null },
      ]);
    } finally {
      await database.close();
    }
  });

  test('what a bucket needs is printed as the page says', async () => {
    const { stdout } = await promisify(execFile)('sh', ['-c', sampleOf('sh')], {
      cwd: projectRoot,
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
    });
    expect(stdout).toContain('PutBucketLifecycleConfiguration');
    expect(stdout).toContain('https://app.example.com');
  });
});

type Answer = { data: unknown; errors?: { extensions: { code: string } }[] };

/** The samples by their path: the name stands in their first line. */
function samples(): Record<string, string> {
  const text = readFileSync(join(projectRoot, 'docs/uploads.md'), 'utf8');
  const found = text.matchAll(/^```js\n\/\/ (\S+)\n([\s\S]*?)^```$/gm);
  return Object.fromEntries([...found].map(([, name, code = '']) => [`/${name}`, code]));
}
