import { fileURLToPath } from 'node:url';
import { PgSimplifyInflectionPreset } from '@graphile/simplify-inflection';
import type { Pool } from 'pg';
import type { GrafastExecutionArgs } from 'postgraphile/grafast';
import 'postgraphile/grafserv/node';
import { getOperationAST } from 'postgraphile/graphql';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { PostGraphileRelayPreset } from 'postgraphile/presets/relay';
import { makePgSmartTagsFromFilePlugin } from 'postgraphile/utils';
import { pgSettings } from '../db/claims.ts';
import { makeScopedPgService } from '../db/scope/makeScopedPgService.ts';
import { type Limits, type ScopeSettings, scopeSignal } from '../db/scope/settings.ts';
import { RowhouseError } from '../platform/errors/registry.ts';
import type { Generations } from '../plugins/generations.ts';
import * as plugins from '../plugins/index.ts';
import type { Uploads } from '../plugins/uploads.ts';
import { stateOf } from './http/requestState.ts';
import { makeKeptOperationsPlugin } from './KeptOperationsPlugin.ts';
import { makeSchemaAnnouncements } from './schemaAnnouncements.ts';

const tagsFile = fileURLToPath(new URL('../postgraphile.tags.json5', import.meta.url));

/** What becomes the API: the schema `app_public`, seen through these plugins. */
export type PresetOptions = {
  /** The API's login. */
  pool: Pool;
  /** False behind a pooler that gives each transaction another connection. */
  usePrepared?: boolean;
  /** There, what a session of our own would have from its start. */
  limits?: Limits | undefined;
  /** Plugins of this process: what it observes, what it serves in development. */
  processPlugins?: GraphileConfig.Plugin[];
  /** Absent where no bucket is configured. */
  uploads?: Uploads | undefined;
  /** Absent where no AI service is configured. */
  generations?: Generations | undefined;
  /** What generations of an organization may cost in a month, in millionths, where it has no budget of its own. */
  aiBudgetMicros?: number;
  /** What documents and their plans may take, in MB. */
  graphqlCacheMb?: number;
  /** Whether to serve GraphiQL at `/`. */
  graphiql?: boolean;
  /** Whether to follow changes of the database schema; for development. */
  watch?: boolean;
};

/** The PostGraphile preset. Reads nothing from the environment. */
export function makePreset(options: PresetOptions): GraphileConfig.Preset {
  const { pool, usePrepared = true, limits, processPlugins = [] } = options;
  const { graphiql = false, watch = false, uploads, generations } = options;
  const { aiBudgetMicros = 0, graphqlCacheMb = 20 } = options;
  const service = makeScopedPgService({
    pool,
    schemas: ['app_public'],
    pubsub: false,
    usePrepared,
    limits,
  });
  return {
    extends: [PostGraphileAmberPreset, PostGraphileRelayPreset, PgSimplifyInflectionPreset],
    plugins: [
      makePgSmartTagsFromFilePlugin(tagsFile),
      ...Object.values(plugins).flat(),
      makeKeptOperationsPlugin(graphqlCacheMb * 1_000_000),
      ...processPlugins,
    ],
    disablePlugins: [
      // `query { query { … } }` and `mutation { x { query } }` lead back to where one is.
      'QueryQueryPlugin',
      'MutationPayloadQueryPlugin',
      // Query as a Node was for Relay before 1.0.
      'RegisterQueryNodePlugin',
      // The scope's own context takes its place.
      'PgContextPlugin',
    ],
    pgServices: [watch ? { ...service, ...announcedBy(pool) } : service],
    // `npm run db:watch`, `db:commit` and `db:reset` announce each change themselves, so no event
    // trigger is needed.
    gather: { pgStrictFunctions: true, installWatchFixtures: false },
    // Counting reads every row; tables where that is cheap say so in the tags file.
    schema: { defaultBehavior: '-totalCount' },
    grafast: {
      context: (request, args) => ({
        ...service.context,
        uploads,
        generations,
        aiBudgetMicros,
        ...contextOf(request, args),
      }),
    },
    grafserv: {
      graphqlPath: '/graphql',
      graphiql,
      graphiqlOnGraphQLGET: false,
      graphqlOverGET: false,
      maxRequestLength: 100_000,
      // KeptOperationsPlugin does that, by size.
      parseAndValidateCacheSize: 0,
      watch,
      // OperationsPlugin has coded and masked all errors by then.
      maskError: (error) => error,
      outputDataAsString: true,
    },
  };
}

/** What a service needs for watch mode. */
function announcedBy(
  pool: Pool,
): Pick<GraphileConfig.PgServiceConfiguration, 'pgSubscriber' | 'release'> {
  const announcements = makeSchemaAnnouncements(pool);
  return { pgSubscriber: announcements, release: announcements.release };
}

/** A request's plans run as its caller and while there is one, or not at all; those of a query cannot write. */
function contextOf(
  context: Partial<Grafast.RequestContext>,
  { document, operationName }: GrafastExecutionArgs,
): Partial<Grafast.Context> {
  const request = context.node?.req;
  const state = request && stateOf(request);
  if (!state?.claims) throw new RowhouseError('UNAUTHENTICATED');
  const operation = getOperationAST(document, operationName);
  state.operationName = operation?.name?.value ?? null;
  state.operationType = operation?.operation ?? 'query';
  const { claims, requestId, traceId, operationType } = state;
  const access = operationType === 'mutation' ? 'write' : 'read';
  const settings: ScopeSettings = {
    ...pgSettings(claims, requestId, access, traceId),
    [scopeSignal]: state.leaving.signal,
  };
  return { claims, requestId, pgSettings: settings };
}
