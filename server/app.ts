import compression from 'compression';
import cors from 'cors';
import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import type { Pseudonym } from '../platform/logging.ts';
import { type Metrics, prometheusContentType } from '../platform/metrics.ts';
import type { Observe } from '../platform/observer.ts';
import type { TokenVerifier } from './auth/verifyToken.ts';
import { authenticate } from './http/authenticate.ts';
import { bearerToken } from './http/bearerToken.ts';
import { type Checks, healthz, readyz } from './http/health.ts';
import { observeRequests, route } from './http/observeRequests.ts';
import { onlyPost } from './http/onlyPost.ts';
import { answerErrors, sendError } from './http/sendError.ts';
import type { Provision } from './provision.ts';

/** What the app is made of; opened and closed by whoever makes it. */
export type AppParts = {
  /** Answers `/graphql` and, where it is on, GraphiQL. */
  graphql: RequestHandler;
  /** Goes on once there is a schema; UNAVAILABLE before. */
  whenBuilt: RequestHandler;
  verifier: Pick<TokenVerifier, 'verify'>;
  provision: Provision;
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

/** The ordered list of what happens to a request. Steps that can refuse come cheapest first. */
export function makeApp(parts: AppParts): Express {
  const { observe } = parts;
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple');

  app.use(observeRequests(observe, parts.pseudonym));
  app.use(securityHeaders(parts.graphiql));
  app.get('/healthz', route('/healthz'), healthz);
  app.get('/readyz', route('/readyz'), readyz(parts.checks, parts.isDraining));
  app.get('/metrics', route('/metrics'), bearerToken(parts.metricsToken), async (_, response) => {
    response.type(prometheusContentType).send(await parts.metrics.renderPrometheus());
  });

  // Before authentication: a preflight carries no token.
  app.use(cors(corsOptions(parts.corsOrigins)));
  app.use(compression());

  // Place of the webhooks: they read the raw body themselves, and nothing before them may.
  // Place of the rate limit by IP address: before any work for the caller.
  app.all('/graphql', route('/graphql'), onlyPost);
  // Without a schema there may be no database to know callers by.
  app.post('/graphql', parts.whenBuilt);
  app.post('/graphql', authenticate(parts.verifier, parts.provision, observe));
  // Place of the rate limits by user and organization: they need the claims.
  // Places of persisted operations and of limits on documents: inside grafserv, before parsing.
  app.use(parts.graphql);

  app.use((_, response) => sendError(response, 'NOT_FOUND'));
  app.use(answerErrors(observe));
  return app;
}

function corsOptions(origins: readonly string[]): cors.CorsOptions {
  return {
    origin: [...origins],
    credentials: false,
    methods: ['POST'],
    allowedHeaders: [
      'authorization',
      'content-type',
      'x-request-id',
      'traceparent',
      'x-expected-org',
    ],
    exposedHeaders: ['x-request-id', 'retry-after', 'ratelimit', 'ratelimit-policy'],
    maxAge: 600,
  };
}

function securityHeaders(graphiql: boolean) {
  // The API serves no page of its own; GraphiQL, where it is on, needs scripts and workers.
  return helmet({
    contentSecurityPolicy: graphiql
      ? false
      : { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
  });
}
