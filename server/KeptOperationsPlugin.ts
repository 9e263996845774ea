import type { GraphQLSchema } from 'postgraphile/graphql';
import 'postgraphile/grafserv/node';
import { type KeptOperations, keepOperations } from './keptOperations.ts';

/** Keeps what is known of documents within a budget of memory, in place of grafserv and Grafast. */
export function makeKeptOperationsPlugin(maxBytes: number): GraphileConfig.Plugin {
  return {
    name: 'KeptOperationsPlugin',
    version: '1.0.0',

    grafserv: {
      middleware: {
        setPreset(next, event) {
          const { getExecutionConfig } = event;
          let latest: GraphQLSchema | undefined;
          let operations: KeptOperations | undefined;
          event.getExecutionConfig = async function (context) {
            const config = await getExecutionConfig.call(this, context);
            const { schema, parseAndValidate } = config;
            // In watch mode there is another schema after each change.
            if (!operations || schema !== latest) {
              operations = keepOperations(schema, parseAndValidate, maxBytes);
              latest = schema;
            }
            return { ...config, parseAndValidate: operations.parseAndValidate };
          };
          return next();
        },
      },
    },
  };
}
