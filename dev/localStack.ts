import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { migrate } from '../db/migrate.ts';
import { credentialVariables, mergeSources, readSources } from '../platform/config/environment.ts';
import { loadConfig } from '../platform/config/loadConfig.ts';
import type { Config } from '../platform/config/settings.ts';
import { type Lifecycle, makeLifecycle } from '../platform/lifecycle.ts';
import { addDemoData } from '../server/addDemoData.ts';
import { openAiFaculties } from './ai/openAiFaculties.ts';
import { openLocalAiService } from './aiService.ts';
import { openStackProcess } from './childProcess.ts';
import { openIssuer } from './issuer.ts';
import { openIssuerRecord } from './issuerRecord.ts';
import { findFreePort, isPortFree } from './ports.ts';
import { openPostgres } from './postgres.ts';
import { signToken } from './signToken.ts';
import { openLocalStore } from './store.ts';
import { lifecycleLog, say, show } from './terminal.ts';

/** Settings of the parts the stack runs, by variable. */
type StackSettings = Record<string, string>;

/**
 * Starts what no real service is configured for, brings the database up to date,
 * starts API and worker, and says where everything is. Stops all of it, in
 * reverse order, on the first signal or when a part ends by itself.
 */
export async function startLocalStack(): Promise<void> {
  const lifecycle = makeLifecycle({ log: lifecycleLog, deadlineMs: 40_000 });
  lifecycle.onSignals();
  try {
    await startEverything(lifecycle);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    await lifecycle.close('could not start').catch(() => {});
    process.exit(1);
  }
}

async function startEverything(lifecycle: Lifecycle): Promise<void> {
  const env = givenSettings();
  const config = loadConfig('none', env);
  await mkdir(config.dataDir, { recursive: true });
  const port = await choosePort(env.PORT, config.port);
  const url = `http://localhost:${port}`;
  const settings: StackSettings = { NODE_ENV: 'development', PORT: String(port) };

  Object.assign(settings, await startDatabase(config, lifecycle));
  if (!config.clerkIssuer) Object.assign(settings, await startIssuer(config, url, lifecycle));
  if (!config.clerkWebhookSecret) settings.CLERK_WEBHOOK_SECRET = newWebhookSecret();
  const storeEnv = config.s3BucketUploads ? {} : await startStore(config, lifecycle);
  Object.assign(settings, storeEnv);
  // Demo data goes to what was started here, and to nothing real.
  if (settings.DATABASE_URL) {
    say('Seeding …');
    await addDemoData(settings.DATABASE_URL, storeEnv);
  }
  if (!config.aiServiceUrl) Object.assign(settings, await startAiService(config, env, lifecycle));
  await writeLocalEnv(config.dataDir, settings, lifecycle);

  const partsEnv = { ...process.env, ...env, ...settings };
  // Where one has ended it has said why, and its end is closing everything.
  if (!(await startPart('api', 'server/main.ts', partsEnv, lifecycle))) return;
  if (!partsEnv.DATABASE_WORKER_URL) {
    say('No worker: DATABASE_URL is set, and DATABASE_WORKER_URL is not.');
  } else {
    // It listens for probes alone: any port will do.
    const workerEnv = { ...partsEnv, WORKER_PORT: env.WORKER_PORT ?? '0' };
    if (!(await startPart('worker', 'worker/main.ts', workerEnv, lifecycle))) return;
  }
  say(await welcome(url, settings, config.dataDir));
}

/**
 * Starts a process of ours, again when one that was ready ends by itself, as whoever runs it in
 * production does; and stops everything when it ends before that.
 *
 * @returns whether it was ready.
 */
async function startPart(
  name: 'api' | 'worker',
  entry: string,
  env: NodeJS.ProcessEnv,
  lifecycle: Lifecycle,
): Promise<boolean> {
  let isAsked = false;
  const open = () => {
    say(`Starting the ${name} …`);
    return openStackProcess(entry, env, (line) => show(name, line));
  };
  let part = open();
  lifecycle.opened(
    name,
    () => {
      isAsked = true;
      return part.close();
    },
    26_000,
  );

  const isReady = () =>
    part.ready.then(
      () => true,
      () => false,
    );
  const watch = async () => {
    for (;;) {
      const wasReady = await isReady();
      const { code, signal } = await part.ended;
      if (isAsked) return;
      if (!wasReady) {
        say(`The ${name} ended by itself (${signal ?? code}). Stopping everything.`);
        void lifecycle.close(`the ${name} ended`).finally(() => process.exit(1));
        return;
      }
      say(`The ${name} ended by itself (${signal ?? code}).`);
      part = open();
    }
  };
  void watch();
  return isReady();
}

/** What was set by hand. The local.env that an earlier stack may have left is not ours to build on. */
function givenSettings(): StackSettings {
  const byHand = readSources({ ...process.env, NODE_ENV: 'development' }).filter(
    ({ name }) => name !== 'local.env',
  );
  return mergeSources(byHand);
}

/** The wanted port or, where nobody asked for a particular one, the next that is free. */
async function choosePort(asked: string | undefined, wanted: number): Promise<number> {
  if (!asked) return findFreePort(Array.from({ length: 20 }, (_, i) => wanted + i));
  if (wanted === 0) return findFreePort();
  if (await isPortFree(wanted)) return wanted;
  say(`Port ${wanted} (PORT) is taken by another program. Stop it, or choose another PORT.`);
  process.exit(1);
}

type Opened = Pick<Lifecycle, 'opened'>;

/** The configured database, or one of our own; migrated where its owner is known. */
async function startDatabase(config: Config, lifecycle: Opened): Promise<StackSettings> {
  const { databaseUrl, databaseWorkerUrl, databaseOwnerUrl } = config;
  if (databaseUrl) {
    if (databaseOwnerUrl) await bringUpToDate(databaseOwnerUrl, databaseUrl, databaseWorkerUrl);
    return {};
  }
  say('Starting Postgres …');
  const postgres = await openPostgres({ dir: config.dataDir, onProgress: say });
  lifecycle.opened('Postgres', postgres.close, 15_000);
  const apiUrl = postgres.urlFor('rowhouse_api', 'rowhouse');
  const workerUrl = postgres.urlFor('rowhouse_worker', 'rowhouse');
  const ownerUrl = postgres.urlFor('rowhouse_owner', 'rowhouse');
  await bringUpToDate(ownerUrl, apiUrl, workerUrl);
  return { DATABASE_URL: apiUrl, DATABASE_WORKER_URL: workerUrl, DATABASE_OWNER_URL: ownerUrl };
}

async function bringUpToDate(ownerUrl: string, apiUrl: string, workerUrl: string | undefined) {
  say('Migrating …');
  await migrate({ ownerUrl, apiUrl, workerUrl, onProgress: () => {} });
}

async function startIssuer(
  { dataDir }: Config,
  url: string,
  lifecycle: Opened,
): Promise<StackSettings> {
  const { port } = new URL(url);
  const issuer = await openIssuer({
    dir: dataDir,
    allowedOrigins: [url, `http://127.0.0.1:${port}`],
  });
  lifecycle.opened('issuer', issuer.close);
  return {
    CLERK_ISSUER: issuer.url,
    CLERK_JWKS_URL: issuer.jwksUrl,
    GRAPHIQL_TOKEN_URL: `${issuer.tokenUrl}?user=user_alice&org=org_acme&role=admin`,
  };
}

/** For events of `npm run clerk:event`. A new one each time: nobody else needs to know it. */
function newWebhookSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`;
}

async function startStore({ dataDir }: Config, lifecycle: Opened): Promise<StackSettings> {
  // The same port where it can be had, so that URLs outlive a restart.
  const store = await openLocalStore({ dir: dataDir, port: 9_000 });
  lifecycle.opened('store', store.close);
  // Of the credentials that whoever starts us has for another store, none.
  const none = Object.fromEntries(credentialVariables.map((name) => [name, '']));
  return { ...none, ...store.settings };
}

/** The local AI service, in front of a real model where one is configured. */
async function startAiService(
  config: Config,
  env: StackSettings,
  lifecycle: Opened,
): Promise<StackSettings> {
  const { localAiOpenaiUrl: url, localAiOpenaiModel: model } = config;
  const server = {
    model,
    embeddingModel: config.localAiOpenaiEmbeddingModel,
    key: config.localAiOpenaiKey,
  };
  const faculties = url === undefined ? undefined : openAiFaculties({ url, ...server });
  const service = await openLocalAiService({ port: 9_010, ...(faculties && { faculties }) });
  lifecycle.opened('AI service', service.close);
  return {
    AI_SERVICE_URL: service.url,
    ...(env.AI_EMBEDDINGS === undefined && { AI_EMBEDDINGS: 'true' }),
  };
}

/** Tells the other commands (`token`, `migrate`, `db:watch`, …) of the running stack. */
async function writeLocalEnv(dataDir: string, settings: StackSettings, lifecycle: Opened) {
  const path = join(dataDir, 'local.env');
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  await writeFile(`${path}.new`, lines.join(''), { mode: 0o600 });
  await rename(`${path}.new`, path);
  lifecycle.opened('local.env', () => rm(path, { force: true }));
}

async function welcome(url: string, settings: StackSettings, dataDir: string): Promise<string> {
  const lines = ['', `GraphiQL   ${url}/`, `GraphQL    ${url}/graphql`];
  if (settings.S3_ENDPOINT) lines.push(`Files      ${settings.S3_ENDPOINT}`);
  if (settings.AI_SERVICE_URL) lines.push(`AI         ${settings.AI_SERVICE_URL}`);
  if (settings.CLERK_ISSUER) {
    const { key } = await openIssuerRecord(dataDir);
    const content = { user: 'user_alice', org: 'org_acme', role: 'admin', ttlSeconds: 86_400 };
    const token = await signToken({
      ...content,
      permissions: [],
      key,
      issuer: settings.CLERK_ISSUER,
    });
    lines.push(
      `Tokens     npm run -s token -- --user user_bob --org org_acme`,
      `Events     npm run clerk:event -- organizationMembership.deleted --user user_bob --org org_acme`,
      '',
      'Paste this into another terminal:',
      '',
      `curl -s ${url}/graphql -H 'content-type: application/json' \\`,
      `  -H 'authorization: Bearer ${token}' \\`,
      `  -d '{"query":"{ me { name } documents(first: 3) { edges { node { id title } } } files(first: 1) { edges { node { fileName status downloadUrl { url } } } } }"}'`,
    );
  }
  return [...lines, '', 'Ctrl-C stops everything.'].join('\n');
}
