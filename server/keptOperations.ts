import { execute, makeGrafastSchema } from 'postgraphile/grafast';
import type { ExecutionConfig } from 'postgraphile/grafserv';
import {
  type DocumentNode,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
} from 'postgraphile/graphql';

/** Parses and validates a document, or remembers what came of it. */
type ParseAndValidate = ExecutionConfig['parseAndValidate'];

/** The documents that are kept, and with each its plans. */
export type KeptOperations = {
  parseAndValidate: ParseAndValidate;
  /** How many documents there are, and what they are believed to take. */
  kept(): { documents: number; bytes: number };
};

/** What a plan takes for each field of its operation, and as much as that for being one. Measured. */
const bytesPerField = 12_000;
const fieldsOfEveryPlan = 5;

/** What a parsed document takes for each character of its text. */
const bytesPerCharacter = 100;

/** A document that would take more than this part of all is not kept. */
const largestShare = 1 / 4;

/** A document that is kept. */
type Kept = {
  result: ReturnType<ParseAndValidate>;
  textBytes: number;
  operations: readonly { operation: OperationDefinitionNode; planBytes: number }[];
  bytes: number;
  usedAt: number;
};

/**
 * Keeps documents and their plans within a budget of memory; those unused for longest go first.
 *
 * grafserv keeps a number of documents, and Grafast a number of operations, however large these are:
 * forty lists in one operation take as much as forty operations. So documents are weighed and kept here,
 * and plans live as long as their documents. One that is not valid is not kept.
 *
 * @param parseAndValidate of grafserv, which is to keep nothing itself.
 */
export function keepOperations(
  schema: GraphQLSchema,
  parseAndValidate: ParseAndValidate,
  maxBytes: number,
): KeptOperations {
  const plans: Plans = new WeakMap();
  keepPlansIn(schema, plans);
  // Not in the order of use: see `Memory` in db/scope/openConnection.ts.
  const documents = new Map<string, Kept>();
  let bytes = 0;
  let uses = 0;

  function drop(query: string, kept: Kept): void {
    documents.delete(query);
    bytes -= kept.bytes;
  }

  function makeRoom(): void {
    while (bytes > maxBytes) {
      let oldest: [string, Kept] | undefined;
      for (const each of documents) {
        if (!oldest || each[1].usedAt < oldest[1].usedAt) oldest = each;
      }
      if (!oldest) return;
      drop(...oldest);
    }
  }

  /** Takes note of what a document takes by now: it may have got another plan, for other variables. */
  function weigh(query: string, kept: Kept): void {
    const now = weightOf(kept, plans);
    if (now === kept.bytes) return;
    bytes += now - kept.bytes;
    kept.bytes = now;
    if (now > maxBytes * largestShare) drop(query, kept);
    else makeRoom();
  }

  return {
    parseAndValidate(query) {
      uses += 1;
      const known = documents.get(query);
      if (known) {
        known.usedAt = uses;
        weigh(query, known);
        return known.result;
      }
      const result = parseAndValidate(query);
      if (!result.document) return result;
      const kept: Kept = {
        result,
        textBytes: query.length * bytesPerCharacter,
        operations: operationsOf(result.document),
        bytes: 0,
        usedAt: uses,
      };
      documents.set(query, kept);
      weigh(query, kept);
      return result;
    },
    kept: () => ({ documents: documents.size, bytes }),
  };
}

/** Its plans, and before it has any that of its largest operation. */
function weightOf({ textBytes, operations }: Kept, plans: Plans): number {
  let sum = 0;
  let largest = 0;
  for (const { operation, planBytes } of operations) {
    let plan = plans.get(operation)?.possibleOperationPlans;
    for (; plan; plan = plan.next) sum += planBytes;
    largest = Math.max(largest, planBytes);
  }
  return textBytes + Math.max(sum, largest);
}

function operationsOf({ definitions }: DocumentNode): Kept['operations'] {
  const selections = new Map<string, SelectionSetNode>();
  const operations: OperationDefinitionNode[] = [];
  for (const definition of definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) operations.push(definition);
    if (definition.kind !== Kind.FRAGMENT_DEFINITION) continue;
    selections.set(definition.name.value, definition.selectionSet);
  }
  const counts = new Map<string, number>();
  const countFields = ({ selections: nodes }: SelectionSetNode): number =>
    nodes.reduce((sum, node) => {
      if (node.kind === Kind.FRAGMENT_SPREAD) return sum + countFragment(node.name.value);
      const inner = node.selectionSet ? countFields(node.selectionSet) : 0;
      return sum + inner + (node.kind === Kind.FIELD ? 1 : 0);
    }, 0);
  // A fragment is planned wherever it is spread, and counted once for all.
  const countFragment = (name: string): number => {
    const selection = selections.get(name);
    const count = counts.get(name) ?? (selection ? countFields(selection) : 0);
    counts.set(name, count);
    return count;
  };
  return operations.map((operation) => ({
    operation,
    planBytes: (fieldsOfEveryPlan + countFields(operation.selectionSet)) * bytesPerField,
  }));
}

/** Where Grafast looks for the plans of an operation, and puts them: a list for each. */
type Plans = WeakMap<OperationDefinitionNode, { possibleOperationPlans: LinkedPlan | null }>;
type LinkedPlan = { next: LinkedPlan | null };

/** Gives the schema a place for plans that holds on to none whose document is gone. */
function keepPlansIn(schema: GraphQLSchema, plans: Plans): void {
  const extensions = schema.extensions as { grafast?: object };
  extensions.grafast = Object.assign(extensions.grafast ?? {}, { [placeOfPlans()]: plans });
}

/**
 * The name of that place, which Grafast does not export.
 * @throws where an upgrade of Grafast has another.
 */
function placeOfPlans(): symbol {
  const schema = makeGrafastSchema({ typeDefs: 'type Query { one: Int }' });
  void execute({ schema, document: parse('{ __typename }') });
  const place = Object.getOwnPropertySymbols(schema.extensions.grafast ?? {}).find(
    ({ description }) => description === 'cacheByOperation',
  );
  if (!place) throw new Error('This version of Grafast keeps its plans in another place.');
  return place;
}
