import type { Server } from 'node:http';
import express, { type Express, type RequestHandler, type Router } from 'express';
import { type PostGraphileInstance, postgraphile } from 'postgraphile';
import { grafserv } from 'postgraphile/grafserv/express/v4';
import { sendError } from './http/sendError.ts';

/** The GraphQL part of the app, which may be there later than the listener. */
export type Graphql = {
  /** Answers `/graphql` and GraphiQL; 503 until `build` has succeeded. */
  handler: RequestHandler;
  /** Goes on once `build` has succeeded; 503 before. */
  whenBuilt: RequestHandler;
  isBuilt(): boolean;
  /** Reads the database and builds the schema. May be called again after a failure. */
  build(preset: GraphileConfig.Preset, server: Server): Promise<void>;
  close(): Promise<void>;
};

/** Makes the GraphQL part, still without a schema. */
export function makeGraphql(): Graphql {
  let router: Router | undefined;
  let release: (() => unknown) | undefined;

  return {
    handler(request, response, next) {
      if (router) router(request, response, next);
      else sendError(response, 'UNAVAILABLE');
    },
    whenBuilt(_request, response, next) {
      if (router) next();
      else sendError(response, 'UNAVAILABLE');
    },
    isBuilt: () => router !== undefined,
    async build(preset, server) {
      const instance = postgraphile(preset);
      try {
        await instance.getSchemaResult();
        const built = express.Router();
        const serv = instance.createServ(grafserv);
        // It only calls `use`, which a router has as well.
        await serv.addTo(built as unknown as Express, server, preset.grafserv?.websockets ?? false);
        await serv.ready();
        router = built;
        release = () => releaseAll(instance);
      } catch (error) {
        await releaseAll(instance);
        throw error;
      }
    },
    async close() {
      await release?.();
    },
  };
}

/** Ends the schema and, in watch mode, the connection that listens for changes. */
async function releaseAll(instance: PostGraphileInstance): Promise<void> {
  await instance.release();
  for (const service of instance.getResolvedPreset().pgServices ?? []) await service.release?.();
}
