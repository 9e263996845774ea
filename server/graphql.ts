import { type PostGraphileInstance, postgraphile } from 'postgraphile';
import { makeGraphqlServer } from './GraphqlServer.ts';
import { sendError } from './http/sendError.ts';
import type { Stage } from './http/stages.ts';

/** The GraphQL part of the app, which may be there later than the listener. */
export type Graphql = {
  /** Answers `/graphql` and GraphiQL; 503 until `build` has succeeded. */
  answer: Stage;
  /** Goes on once `build` has succeeded; 503 before. */
  whenBuilt: Stage;
  isBuilt(): boolean;
  /** Reads the database and builds the schema. May be called again after a failure. */
  build(preset: GraphileConfig.Preset): Promise<void>;
  close(): Promise<void>;
};

/** Makes the GraphQL part, still without a schema. */
export function makeGraphql(): Graphql {
  let answer: Stage = (_request, response) => sendError(response, 'UNAVAILABLE');
  let instance: PostGraphileInstance | undefined;

  return {
    answer: (request, response, next) => answer(request, response, next),
    whenBuilt(_request, response, next) {
      if (instance) next();
      else sendError(response, 'UNAVAILABLE');
    },
    isBuilt: () => instance !== undefined,
    async build(preset) {
      const building = postgraphile(preset);
      try {
        await building.getSchemaResult();
        const server = building.createServ(makeGraphqlServer);
        await server.ready();
        answer = server.answer;
        instance = building;
      } catch (error) {
        await releaseAll(building);
        throw error;
      }
    },
    async close() {
      if (instance) await releaseAll(instance);
    },
  };
}

/** Ends the schema and, in watch mode, the connection that listens for changes. */
async function releaseAll(instance: PostGraphileInstance): Promise<void> {
  await instance.release();
  for (const service of instance.getResolvedPreset().pgServices ?? []) await service.release?.();
}
