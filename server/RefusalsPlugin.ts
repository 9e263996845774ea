import { rowOfNodeId } from '../plugins/AuditEventsPlugin.ts';
import { onErrors } from './onErrors.ts';
import type { RefusalTrail } from './refusalTrail.ts';
import { refusedMutation } from './refusedMutation.ts';

/** Has the audit trail tell of mutations that were refused, after they were rolled back. */
export function makeRefusalsPlugin(trail: RefusalTrail): GraphileConfig.Plugin {
  let rowOf: (nodeId: string) => ReturnType<typeof rowOfNodeId> = () => null;
  return {
    name: 'RefusalsPlugin',
    version: '1.0.0',
    // It looks at errors as they came.
    before: ['OperationsPlugin'],

    schema: {
      hooks: {
        finalize(schema, build) {
          rowOf = (nodeId) => rowOfNodeId(build, nodeId);
          return schema;
        },
      },
    },

    grafserv: {
      middleware: {
        setPreset: onErrors(({ errors }, args) => {
          for (const error of errors) {
            const refused = refusedMutation(error, args);
            if (!refused) continue;
            const { operation, id, isReference, code, claims, state } = refused;
            const { requestId, traceId } = state;
            const row = id === undefined ? null : rowOf(id);
            // A field that refers to nothing at all was refused for what it is, not to the caller.
            if (isReference && !row) continue;
            trail.record({ caller: claims, operation, row, code, requestId, traceId });
          }
        }),
      },
    },
  };
}
