import 'postgraphile/grafserv/node';
import type { GrafastExecutionArgs } from 'postgraphile/grafast';
import {
  type FieldNode,
  type GraphQLError,
  getOperationAST,
  Kind,
  valueFromASTUntyped,
} from 'postgraphile/graphql';
import type { Claims } from '../db/claims.ts';
import type { ErrorCode } from '../platform/errors/registry.ts';
import { told } from './graphqlErrors.ts';
import { type RequestState, stateOf } from './http/requestState.ts';

/** A mutation that was refused as a whole, and to whom. */
export type RefusedMutation = {
  /** The field of the mutation, by its name in the schema: `updateDocument`. */
  operation: string;
  /** The id that its input has; a node id, if it is one. */
  id: string | undefined;
  code: ErrorCode;
  claims: Claims;
  state: RequestState;
};

/** What row-level security and our SQL refuse. A row that policies hide is NOT_FOUND. */
const refusals: readonly ErrorCode[] = ['FORBIDDEN', 'NOT_FOUND'];

/** The mutation that an error refuses; null for any other error. */
export function refusedMutation(
  error: GraphQLError,
  args: GrafastExecutionArgs,
): RefusedMutation | null {
  const request = args.requestContext?.node?.req;
  const state = request && stateOf(request);
  if (state?.operationType !== 'mutation' || !state.claims) return null;
  const { code } = told(error);
  const field = refusals.includes(code) ? fieldAt(error, args) : undefined;
  if (!field) return null;
  return { operation: field.name.value, id: idIn(field, args), code, claims: state.claims, state };
}

/** The field of the mutation that failed as a whole; not one below it, which only reads. */
function fieldAt(
  { path }: GraphQLError,
  { document, operationName }: GrafastExecutionArgs,
): FieldNode | undefined {
  if (path?.length !== 1) return undefined;
  const selections = getOperationAST(document, operationName)?.selectionSet.selections ?? [];
  const fragments = document.definitions.filter((one) => one.kind === Kind.FRAGMENT_DEFINITION);
  /** Fields of the root, through fragments; validation has made sure that these do not go in circles. */
  const fieldsOf = (found: typeof selections): FieldNode[] =>
    found.flatMap((one) => {
      if (one.kind === Kind.FIELD) return [one];
      if (one.kind === Kind.INLINE_FRAGMENT) return fieldsOf(one.selectionSet.selections);
      const fragment = fragments.find(({ name }) => name.value === one.name.value);
      return fragment ? fieldsOf(fragment.selectionSet.selections) : [];
    });
  return fieldsOf(selections).find(({ alias, name }) => (alias ?? name).value === path[0]);
}

function idIn(field: FieldNode, { variableValues }: GrafastExecutionArgs): string | undefined {
  const input = field.arguments?.find(({ name }) => name.value === 'input');
  if (!input) return undefined;
  const value: unknown = valueFromASTUntyped(input.value, variableValues);
  if (typeof value !== 'object' || value === null || !('id' in value)) return undefined;
  return typeof value.id === 'string' ? value.id : undefined;
}
