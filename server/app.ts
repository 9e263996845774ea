import type { RequestListener } from 'node:http';
import { sendText } from '../platform/http/sendJson.ts';
import type { Pseudonym } from '../platform/logging.ts';
import { type Metrics, prometheusContentType } from '../platform/metrics.ts';
import type { Observe } from '../platform/observer.ts';
import type { TokenVerifier } from './auth/verifyToken.ts';
import { authenticate } from './http/authenticate.ts';
import { bearerToken } from './http/bearerToken.ts';
import { crossOrigin } from './http/crossOrigin.ts';
import { expectedOrg } from './http/expectedOrg.ts';
import { type Checks, healthz, readyz } from './http/health.ts';
import { observeRequests } from './http/observeRequests.ts';
import { onlyPost } from './http/onlyPost.ts';
import { securityHeaders } from './http/securityHeaders.ts';
import { answerErrors, sendError } from './http/sendError.ts';
import { inOrder, on, type Stage } from './http/stages.ts';
import type { Provision } from './provision.ts';
import type { RefusalTrail } from './refusalTrail.ts';

/** What the app is made of; opened and closed by whoever makes it. */
export type AppParts = {
  /** Answers `/graphql` and, where it is on, GraphiQL. */
  graphql: Stage;
  /** Goes on once there is a schema; UNAVAILABLE before. */
  whenBuilt: Stage;
  verifier: Pick<TokenVerifier, 'verify'>;
  provision: Provision;
  refusals: Pick<RefusalTrail, 'record'>;
  /** Answers `POST /webhooks/clerk`; nothing does where there is no secret to check it by. */
  clerkWebhook: Stage | undefined;
  metrics: Pick<Metrics, 'renderPrometheus'>;
  observe: Observe;
  pseudonym: Pseudonym;
  /** What `/readyz` looks at. */
  checks: Checks;
  isDraining: () => boolean;
  corsOrigins: readonly string[];
  metricsToken: string | undefined;
  /** Whether GraphiQL is served at `/`. */
  graphiql: boolean;
};

/** Paths that logs and metrics know by name. */
const routes = ['/graphql', '/webhooks/clerk', '/healthz', '/readyz', '/metrics'];

/** The ordered list of what happens to a request. Steps that can refuse come cheapest first. */
export function makeApp(parts: AppParts): RequestListener {
  const { observe } = parts;
  const stages: Stage[] = [
    observeRequests(observe, parts.pseudonym, routes),
    securityHeaders(parts.graphiql),
    on('/healthz', healthz, 'GET'),
    on('/readyz', readyz(parts.checks, parts.isDraining), 'GET'),
    on('/metrics', bearerToken(parts.metricsToken), 'GET'),
    on('/metrics', showMetrics(parts.metrics), 'GET'),

    // Before authentication: a preflight carries no token.
    crossOrigin(parts.corsOrigins),

    // They read the raw body themselves, and nothing before them may.
    ...(parts.clerkWebhook ? [on('/webhooks/clerk', parts.clerkWebhook, 'POST')] : []),
    // Place of the rate limit by IP address: before any work for the caller.
    on('/graphql', onlyPost),
    // Without a schema there may be no database to know callers by.
    on('/graphql', parts.whenBuilt, 'POST'),
    on('/graphql', authenticate(parts.verifier, parts.provision, observe, parts.refusals), 'POST'),
    on('/graphql', expectedOrg, 'POST'),
    // Place of the rate limits by user and organization: they need the claims.
    // Places of persisted operations and of limits on documents: inside grafserv, before parsing.
    parts.graphql,

    (_request, response) => sendError(response, 'NOT_FOUND'),
  ];
  return inOrder(stages, answerErrors(observe));
}

function showMetrics(metrics: AppParts['metrics']): Stage {
  return async (_request, response) =>
    sendText(response, 200, prometheusContentType, await metrics.renderPrometheus());
}
