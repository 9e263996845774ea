import 'postgraphile/grafserv/node';
import type { GrafastExecutionArgs } from 'postgraphile/grafast';
import {
  type ExecutionResult,
  type FieldNode,
  type GraphQLError,
  getOperationAST,
  Kind,
  valueFromASTUntyped,
} from 'postgraphile/graphql';
import type { ErrorCode } from '../platform/errors/registry.ts';
import { rowOfNodeId } from '../plugins/AuditEventsPlugin.ts';
import { told } from './graphqlErrors.ts';
import { stateOf } from './http/requestState.ts';
import type { RefusalTrail } from './refusalTrail.ts';

/** What row-level security and our SQL refuse. A row that policies hide is NOT_FOUND. */
const refusals: readonly ErrorCode[] = ['FORBIDDEN', 'NOT_FOUND'];

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
          for (const error of result.errors ?? []) record(error, args);
          return result as never;
        },
      },
    },
  };

  function record(error: GraphQLError, args: GrafastExecutionArgs): void {
    const request = args.requestContext?.node?.req;
    const state = request && stateOf(request);
    if (state?.operationType !== 'mutation' || !state.claims) return;
    const { code } = told(error);
    const field = refusals.includes(code) ? fieldAt(error, args) : undefined;
    if (!field) return;
    const id = idIn(field, args);
    trail.record({
      caller: state.claims,
      operation: field.name.value,
      row: id === undefined ? null : rowOf(id),
      code,
      requestId: state.requestId,
      traceId: state.traceId,
    });
  }
}

/** The field of the mutation that failed as a whole; not one below it, which only reads. */
function fieldAt(
  { path }: GraphQLError,
  { document, operationName }: GrafastExecutionArgs,
): FieldNode | undefined {
  if (path?.length !== 1) return undefined;
  const selections = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  // One in a fragment is found by its name alone, which the path says unless it is an alias.
  return selections.find(
    (one): one is FieldNode => one.kind === Kind.FIELD && (one.alias ?? one.name).value === path[0],
  );
}

/** The id that the mutation was given. */
function idIn(field: FieldNode, { variableValues }: GrafastExecutionArgs): string | undefined {
  const input = field.arguments?.find(({ name }) => name.value === 'input');
  if (!input) return undefined;
  const value: unknown = valueFromASTUntyped(input.value, variableValues);
  if (typeof value !== 'object' || value === null || !('id' in value)) return undefined;
  return typeof value.id === 'string' ? value.id : undefined;
}
