import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { assertLeastPrivilege } from '../db/assertLeastPrivilege.ts';
import { assertSessions } from '../db/assertSessions.ts';
import { openStateProbe } from '../db/databaseState.ts';
import { appliedMigration, expectedMigration } from '../db/migrationLevel.ts';
import { limitsOf, openPool } from '../db/pool.ts';
import { makePoolMetrics } from '../db/poolMetrics.ts';
import { asLogin, type Login } from '../db/scope/asLogin.ts';
import type { Config } from '../platform/config/settings.ts';
import { keepTrying } from '../platform/keepTrying.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import { makePseudonym } from '../platform/logging.ts';
import { makeLogSink } from '../platform/logSink.ts';
import { openMetrics } from '../platform/metrics.ts';
import { makeObserver } from '../platform/observer.ts';
import { makeAccessPlugin } from './AccessPlugin.ts';
import type { AppParts } from './app.ts';
import { makeTokenVerifier } from './auth/verifyToken.ts';
import { makeGraphiqlPlugin } from './GraphiqlPlugin.ts';
import { makeGraphql } from './graphql.ts';
import { clerkWebhook } from './http/clerkWebhook.ts';
import { checkDatabase, checkTimeoutMs, remembered } from './http/health.ts';
import { makeOperationsPlugin } from './OperationsPlugin.ts';
import { openGenerations } from './openGenerations.ts';
import { openUploads } from './openUploads.ts';
import { makePreset } from './preset.ts';
import { makeProvision } from './provision.ts';
import { makeRefusalsPlugin } from './RefusalsPlugin.ts';
import { makeRefusalTrail } from './refusalTrail.ts';

/** The opened parts, and what only the process itself does with them. */
export type ApiParts = AppParts & {
  /** Builds the schema, as soon as the database is there and this version can work on it. */
  start(): Promise<void>;
  /** Turns readiness red and waits until load balancers have seen it. */
  drain(drainMs: number): Promise<void>;
};

/** Opens what the API stands on. Waits for no network: `start` does. */
export function openParts(
  config: Config<'api'>,
  log: Logger,
  lifecycle: Pick<Lifecycle, 'opened'>,
): ApiParts {
  const metrics = openMetrics();
  lifecycle.opened('metrics', () => metrics.close());
  const observe = makeObserver([makeLogSink(log), metrics.sink], (error) =>
    log.error({ err: error }, 'an observer failed'),
  );

  const hasSessions = config.databasePreparedStatements;
  const ofDatabase = {
    connectionString: config.databaseUrl,
    hasSessions,
    onConnectionError: (error: Error) => log.warn({ err: error }, 'a database connection broke'),
  };
  const pool = openPool({
    ...ofDatabase,
    size: config.databasePoolSize,
    applicationName: 'rowhouse-api',
    statementTimeoutMs: config.databaseStatementTimeoutMs,
    observer: makePoolMetrics(metrics.meter, 'rowhouse-api'),
  });
  lifecycle.opened('database pool', () => pool.end());
  const limits = limitsOf(config.databaseStatementTimeoutMs);
  const travellingLimits = hasSessions ? undefined : limits;
  const login = asLogin(pool, travellingLimits);
  const probe = openStateProbe({ ...ofDatabase, timeoutMs: checkTimeoutMs, login });
  lifecycle.opened('database probe', () => probe.close());
  const refusals = makeRefusalTrail(login, (error, { requestId }) =>
    log.error({ err: error, requestId }, 'a refusal is not in the audit trail'),
  );
  lifecycle.opened('refusals', () => refusals.flush());

  // Explains refusals, and so tells what is there: never in production.
  const { databaseOwnerUrl: ownerUrl, databaseUrl: apiUrl } = config;
  const accessUrls =
    !config.isProduction && ownerUrl ? { ownerUrl, apiUrl, mayLock: true } : undefined;

  const pseudonym = makePseudonym(config.logPseudonymKey);
  const preset = makePreset({
    pool,
    usePrepared: hasSessions,
    limits: travellingLimits,
    uploads: openUploads(config, lifecycle, observe),
    generations: openGenerations(config, lifecycle, { observe, pseudonym }),
    aiBudgetMicros: config.aiMonthlyBudgetMicros,
    graphqlCacheMb: config.graphqlCacheMb,
    graphiql: config.graphqlPlayground,
    watch: config.graphiqlTokenUrl !== undefined && !config.isProduction,
    processPlugins: [
      makeOperationsPlugin(observe),
      makeRefusalsPlugin(refusals),
      ...(accessUrls ? [makeAccessPlugin(accessUrls)] : []),
      ...(config.graphiqlTokenUrl ? [makeGraphiqlPlugin(config.graphiqlTokenUrl)] : []),
    ],
  });
  const graphql = makeGraphql();
  lifecycle.opened('schema', () => graphql.close());

  const verifier = makeTokenVerifier({
    issuer: config.clerkIssuer,
    jwksUrl: config.clerkJwksUrl,
    jwtKey: config.clerkJwtKey,
    audience: config.clerkAudience,
    authorizedParties: config.clerkAuthorizedParties,
    onEvent: observe,
  });

  let isDraining = false;
  const expected = expectedMigration();
  const closing = new AbortController();
  lifecycle.opened('start', () => closing.abort());

  return {
    graphql: graphql.answer,
    whenBuilt: graphql.whenBuilt,
    verifier,
    provision: makeProvision(login),
    refusals,
    clerkWebhook:
      config.clerkWebhookSecret === undefined
        ? undefined
        : clerkWebhook(config.clerkWebhookSecret, login, observe),
    metrics,
    observe,
    pseudonym,
    checks: {
      database: remembered(checkDatabase(probe.look, expected)),
      schema: () => ({ ok: graphql.isBuilt() }),
      async keys() {
        await verifier.ready();
        return { ok: true };
      },
    },
    isDraining: () => isDraining,
    corsOrigins: config.corsOrigins,
    metricsToken: config.metricsToken,
    graphiql: config.graphqlPlayground,
    async start() {
      const onFailure = (error: unknown, againInMs: number) =>
        log.error({ err: error, againInMs }, 'not ready');
      await keepTrying(
        async () => {
          if (hasSessions) await assertSessions(pool, limits);
          await assertMigrated(login, expected);
          await assertLeastPrivilege(login);
          await graphql.build(preset);
        },
        { signal: closing.signal, onFailure },
      );
    },
    async drain(drainMs) {
      isDraining = true;
      observe({ type: 'processDraining', reason: 'asked to stop' });
      await sleep(drainMs);
    },
  };
}

async function assertMigrated(login: Login, expected: number): Promise<void> {
  const applied = await appliedMigration(login);
  if (applied >= expected) return;
  throw new Error(
    `The database is at migration ${applied}, and this version needs ${expected}: run npm run migrate.`,
  );
}
