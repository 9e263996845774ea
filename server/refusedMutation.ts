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
  /** Whether `id` is not what it is about, but what a field of its input refers to. */
  isReference: boolean;
  code: ErrorCode;
  claims: Claims;
  state: RequestState;
};

/**
 * What row-level security and our SQL refuse. A row that policies hide is NOT_FOUND, and
 * BAD_USER_INPUT where the mutation refers to it.
 */
const refusals: readonly ErrorCode[] = ['FORBIDDEN', 'NOT_FOUND'];

/** The mutation that an error refuses; null for any other error. */
export function refusedMutation(
  error: GraphQLError,
  args: GrafastExecutionArgs,
): RefusedMutation | null {
  const request = args.requestContext?.node?.req;
  const state = request && stateOf(request);
  if (state?.operationType !== 'mutation' || !state.claims) return null;
  const { code, field: refused } = told(error);
  const isReference = code === 'BAD_USER_INPUT' && refused !== undefined;
  const field = refusals.includes(code) || isReference ? fieldAt(error, args) : undefined;
  if (!field) return null;
  const id = idIn(inputOf(field, args), isReference ? refused : 'id');
  // Of whatever else is not allowed nothing is denied to the caller.
  if (isReference && id === undefined) return null;
  const operation = field.name.value;
  return { operation, id, isReference, code, claims: state.claims, state };
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

function inputOf(field: FieldNode, { variableValues }: GrafastExecutionArgs): unknown {
  const input = field.arguments?.find(({ name }) => name.value === 'input');
  return input && valueFromASTUntyped(input.value, variableValues);
}

/** The text under a name, in the input itself or in the object of a row in it. */
function idIn(input: unknown, name: string): string | undefined {
  if (typeof input !== 'object' || input === null) return undefined;
  const places: unknown[] = name === 'id' ? [input] : [input, ...Object.values(input)];
  for (const place of places) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, name)) continue;
    const value: unknown = place[name as keyof typeof place];
    if (typeof value === 'string') return value;
  }
  return undefined;
}
