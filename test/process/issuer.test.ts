import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { type Issuer, openIssuer } from '../../dev/issuer.ts';
import { makeTokenVerifier } from '../../server/auth/verifyToken.ts';
import { inherited } from '../support/environment.ts';

let dir: string;
let opened: Issuer[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'rowhouse-issuer-'));
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((issuer) => issuer.close()));
  await rm(dir, { recursive: true });
});

async function open(options: { port?: number; allowedOrigins?: string[] } = {}): Promise<Issuer> {
  const issuer = await openIssuer({ dir, ...options });
  opened.push(issuer);
  return issuer;
}

/** What the API makes of a token, reading the issuer's keys over HTTP. */
const claimsOf = (token: string, issuer: Issuer) =>
  makeTokenVerifier({ issuer: issuer.url, jwksUrl: issuer.jwksUrl }).verify(`Bearer ${token}`);

type Answer = { status: number | undefined; headers: IncomingHttpHeaders; body: string };

/** Like fetch, but it sends whatever Host it is told to. */
function ask(url: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ...options }, async (response) => {
      const { statusCode: status, headers } = response;
      resolve({ status, headers, body: await text(response) });
    })
      .on('error', reject)
      .end();
  });
}

type Run = { code: number; stdout: string; stderr: string };

function runToken(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const command = path.resolve(import.meta.dirname, '../../dev/token.ts');
  const own = { ...inherited(), NODE_ENV: 'test', ROWHOUSE_DATA_DIR: dir };
  return new Promise((resolve) => {
    const options = { env: { ...own, ...env } };
    execFile(process.execPath, [command, ...args], options, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

describe('the local issuer', () => {
  test('signs tokens that the API accepts', async () => {
    const issuer = await open();
    const token = await issuer.sign({ user: 'user_ann', org: 'org_acme', role: 'admin' });
    expect(await claimsOf(token, issuer)).toMatchObject({ userId: 'user_ann', orgRole: 'admin' });
  });

  test('publishes the public half of its key alone', async () => {
    const { jwksUrl } = await open();
    const { status, headers, body } = await ask(jwksUrl);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(body)).toEqual({
      keys: [
        {
          kty: 'RSA',
          kid: expect.stringMatching(/^ins_/),
          n: expect.any(String),
          e: 'AQAB',
          alg: 'RS256',
          use: 'sig',
        },
      ],
    });
  });

  test('keeps its key to itself', async () => {
    await open();
    expect((await stat(path.join(dir, 'issuer.json'))).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['issuer.json']);
  });

  test('keeps its name and key over a restart', async () => {
    const first = await open();
    const token = await first.sign({ user: 'user_ann' });
    await first.close();
    const second = await open();
    expect(second.url).toBe(first.url);
    expect(await claimsOf(token, second)).toMatchObject({ userId: 'user_ann' });
  });

  test('moves to another port, and remembers it, where its own is taken', async () => {
    const first = await open();
    const second = await open();
    expect(second.url).not.toBe(first.url);
    await Promise.all([first.close(), second.close()]);
    expect((await open()).url).toBe(second.url);
    const token = await second.sign({ user: 'user_ann' });
    expect(decodeJwt(token).iss).toBe(second.url);
  });

  test('takes the port it is told to, or says that it cannot', async () => {
    const { url } = await open();
    await expect(open({ port: Number(new URL(url).port) })).rejects.toThrow('EADDRINUSE');
  });

  test('says which file to delete if that is damaged', async () => {
    await writeFile(path.join(dir, 'issuer.json'), '{"port": 4');
    await expect(open()).rejects.toThrow(`${path.join(dir, 'issuer.json')} is damaged. Delete it`);
  });
});

describe('the token page', () => {
  const app = 'http://localhost:8080';

  test('gives the token that is asked for', async () => {
    const issuer = await open();
    const query = 'user=user_ann&org=org_acme&role=admin&permission=org:a:b&permission=org:c:d';
    const { status, headers, body } = await ask(`${issuer.tokenUrl}?${query}&ttl=60&name=Ann`);
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-store');
    const answer = JSON.parse(body);
    expect(answer).toEqual({ token: expect.any(String), expiresInSeconds: 60 });
    expect(await claimsOf(answer.token, issuer)).toMatchObject({
      userId: 'user_ann',
      orgId: 'org_acme',
      orgRole: 'admin',
      permissions: ['org:a:b', 'org:c:d'],
      name: 'Ann',
    });
  });

  test('answers pages of the allowed origins, and tells the browser so', async () => {
    const { tokenUrl } = await open({ allowedOrigins: [app] });
    const { status, headers } = await ask(`${tokenUrl}?user=user_ann`, {
      headers: { origin: app },
    });
    expect(status).toBe(200);
    expect(headers['access-control-allow-origin']).toBe(app);
    expect(headers.vary).toBe('Origin');
    const preflight = await ask(tokenUrl, { method: 'OPTIONS', headers: { origin: app } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-methods']).toBe('GET');
  });

  test.each(['http://evil.example.com', 'http://localhost:8081', 'null', `${app}.evil.com`])(
    'gives nothing to a page of %s',
    async (origin) => {
      const { tokenUrl } = await open({ allowedOrigins: [app] });
      const { status, headers, body } = await ask(`${tokenUrl}?user=user_ann`, {
        headers: { origin },
      });
      expect(status).toBe(403);
      expect(headers).not.toHaveProperty('access-control-allow-origin');
      expect(body).not.toContain('token":');
    },
  );

  test.each(['evil.example.com', '127.0.0.1.evil.com', 'localhost@evil.com', 'evil.com:80'])(
    'gives nothing under the host name "%s"',
    async (host) => {
      const { tokenUrl } = await open();
      const { status } = await ask(`${tokenUrl}?user=user_ann`, { headers: { host } });
      expect(status).toBe(403);
    },
  );

  test.each([
    ['no user', '', 'user: '],
    ['an empty user', 'user=', 'user: must be 1 to 255'],
    ['a role without organization', 'user=a&role=admin', 'role: needs an organization'],
    ['a permission without organization', 'user=a&permission=org:a:b', 'permissions: needs an'],
    ['an odd permission', 'user=a&org=b&permission=docs', 'permissions: must look like'],
    ['a parameter nobody knows', 'user=a&admin=1', 'Unrecognized key'],
    ['a lifetime of ever', 'user=a&ttl=1e400', 'ttl: '],
  ])('explains what is wrong with %s', async (_, query, problem) => {
    const { tokenUrl } = await open();
    const { status, body } = await ask(`${tokenUrl}?${query}`);
    expect(status).toBe(400);
    expect(JSON.parse(body).error).toContain(problem);
  });

  test('answers GET alone, and nothing else at all', async () => {
    const { url, tokenUrl } = await open();
    expect(await ask(tokenUrl, { method: 'POST' })).toMatchObject({ status: 405 });
    expect(await ask(`${url}/`)).toMatchObject({ status: 404 });
    expect(await ask(url, { path: '//evil.com:99999/token?user=ann' })).toMatchObject({
      status: 404,
    });
  });
});

describe('npm run token', () => {
  test('prints a token, and nothing else', async () => {
    const { code, stdout, stderr } = await runToken(['--user', 'user_ann']);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('gives a token that the issuer opened later stands by', async () => {
    const asked = ['--user', 'user_ann', '--org', 'org_acme', '--role', 'org:admin', '--ttl', '60'];
    const custom = ['--permission', 'org:a:b', '--permission', 'org:c:d', '--email', 'a@b.example'];
    const { stdout } = await runToken([...asked, ...custom, '--name', 'Ann']);
    expect(await claimsOf(stdout.trim(), await open())).toMatchObject({
      userId: 'user_ann',
      orgId: 'org_acme',
      orgRole: 'admin',
      permissions: ['org:a:b', 'org:c:d'],
      email: 'a@b.example',
      name: 'Ann',
    });
  });

  test('makes a member of whoever is given no role, in either version', async () => {
    const issuer = await open();
    const asked = ['--user', 'user_ann', '--org', 'org_acme'];
    const runs = await Promise.all([runToken(asked), runToken([...asked, '--v1'])]);
    for (const { stdout } of runs) {
      expect(await claimsOf(stdout.trim(), issuer)).toMatchObject({ orgRole: 'member' });
    }
    expect(runs.map(({ stdout }) => decodeJwt(stdout).v)).toEqual([2, undefined]);
  });

  test('signs for the local issuer that is configured', async () => {
    const env = { CLERK_ISSUER: 'http://localhost:4999' };
    const { stdout } = await runToken(['--user', 'user_ann'], env);
    expect(decodeJwt(stdout).iss).toBe('http://localhost:4999');
  });

  test('run by several at once makes one key', async () => {
    const runs = await Promise.all(Array.from({ length: 5 }, () => runToken(['--user', 'ann'])));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
    const tokens = runs.map(({ stdout }) => stdout.trim());
    expect(new Set(tokens.map((token) => decodeProtectedHeader(token).kid)).size).toBe(1);
    expect(new Set(tokens.map((token) => decodeJwt(token).iss)).size).toBe(1);
    expect(await readdir(dir)).toEqual(['issuer.json']);
    const issuer = await open();
    for (const token of tokens) expect(await claimsOf(token, issuer)).toBeDefined();
  });

  test('explains itself', async () => {
    const { code, stdout, stderr } = await runToken(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const option of ['user', 'org', 'role', 'permission', 'email', 'name', 'ttl', 'v1']) {
      expect(stdout).toContain(`--${option}`);
    }
  });

  test.each([
    ['no user', [], {}, '--user'],
    ['an odd user', ['--user', 'a b'], {}, 'user: must be 1 to 255 visible ASCII characters'],
    ['a role without organization', ['--user', 'a', '--role', 'admin'], {}, 'role: needs an'],
    ['an odd lifetime', ['--user', 'a', '--ttl', 'soon'], {}, 'Give whole seconds.'],
    ['an unknown option', ['--user', 'a', '--admin'], {}, "unknown option '--admin'"],
    ['a stray word', ['--user', 'a', 'b'], {}, 'too many arguments'],
    [
      'a real Clerk instance',
      ['--user', 'a'],
      { CLERK_ISSUER: 'https://clerk.example.com' },
      'CLERK_ISSUER is https://clerk.example.com, which is not the local issuer',
    ],
    [
      'keys of a real Clerk instance',
      ['--user', 'a'],
      { CLERK_JWKS_URL: 'https://clerk.example.com/.well-known/jwks.json' },
      'which is not the local issuer',
    ],
  ])('refuses %s on stderr alone', async (_, args, env, problem) => {
    const { code, stdout, stderr } = await runToken(args, env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(problem);
    expect(stderr).not.toContain('    at ');
    expect(await readdir(dir)).toEqual([]);
  });

  test('never shows the key', async () => {
    const { stdout } = await runToken(['--user', 'user_ann']);
    const { privateKey } = JSON.parse(await readFile(path.join(dir, 'issuer.json'), 'utf8'));
    expect(stdout).not.toContain(privateKey.d);
    expect(JSON.stringify(decodeProtectedHeader(stdout))).not.toContain(privateKey.n);
  });
});
