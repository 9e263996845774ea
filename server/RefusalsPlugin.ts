import type { ExecutionResult } from 'postgraphile/graphql';
import { rowOfNodeId } from '../plugins/AuditEventsPlugin.ts';
import type { RefusalTrail } from './refusalTrail.ts';
import { refusedMutation } from './refusedMutation.ts';

/** Has the audit trail tell of mutations that were refused, after they were rolled back. */
export function makeRefusalsPlugin(trail: RefusalTrail): GraphileConfig.Plugin {
  let rowOf: (nodeId: string) => ReturnType<typeof rowOfNodeId> = () => null;
  return {
    name: 'RefusalsPlugin',
    version: '1.0.0',

    schema: {
      hooks: {
        finalize(schema, build) {
          rowOf = (nodeId) => rowOfNodeId(build, nodeId);
          return schema;
        },
      },
    },

    grafast: {
      middleware: {
        async execute(next, { args }) {
          const result = (await next()) as ExecutionResult;
          for (const error of result.errors ?? []) {
            const refused = refusedMutation(error, args);
            if (!refused) continue;
            const { operation, id, code, claims, state } = refused;
            const { requestId, traceId } = state;
            const row = id === undefined ? null : rowOf(id);
            trail.record({ caller: claims, operation, row, code, requestId, traceId });
          }
          return result as never;
        },
      },
    },
  };
}
