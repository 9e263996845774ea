import { setTimeout as sleep } from 'node:timers/promises';
import 'postgraphile/graphile-build-pg';
import type { GraphQLError } from 'postgraphile/graphql';
import type { Access, Command } from '../db/why.ts';
import { askWhy, type WhyUrls } from '../db/whyAsk.ts';
import { onErrors } from './onErrors.ts';
import { type RefusedMutation, refusedMutation } from './refusedMutation.ts';

/** An answer waits for an explanation no longer than this. */
const waitMs = 2_000;

/**
 * In development, says of a refused mutation which grant or policy decided, under
 * `extensions.access`: what `npm run db:why` says. It tells rows that are there from
 * those that are not, so production never has it.
 *
 * One answer is explained at a time and one error of it; where that fails or takes too
 * long, the answer goes without.
 */
export function makeAccessPlugin(urls: WhyUrls): GraphileConfig.Plugin {
  const targets = new Map<string, Target>();
  let isBusy = false;
  return {
    name: 'AccessPlugin',
    version: '1.0.0',
    // It adds to the extensions that errors get there.
    after: ['OperationsPlugin'],

    schema: {
      hooks: {
        GraphQLObjectType_fields_field(field, { inflection }, { scope }) {
          const command = scope.isPgCreateMutation
            ? 'insert'
            : scope.isPgUpdateMutation
              ? 'update'
              : scope.isPgDeleteMutation
                ? 'delete'
                : undefined;
          const codec = scope.pgFieldResource?.codec;
          const { schemaName, name } = codec?.extensions?.pg ?? {};
          if (command && codec && schemaName && name) {
            const nodeType = inflection.tableType(codec);
            targets.set(scope.fieldName, { command, table: `${schemaName}.${name}`, nodeType });
          }
          return field;
        },
      },
    },

    grafserv: {
      middleware: {
        setPreset: onErrors(async ({ errors }, args) => {
          for (const error of errors) {
            const refused = refusedMutation(error, args);
            const target = refused && !refused.isReference && targets.get(refused.operation);
            if (!target || isBusy) continue;
            isBusy = true;
            const explained = explain(urls, refused, target).finally(() => {
              isBusy = false;
            });
            await addAccess(error, explained);
            break;
          }
        }),
      },
    },
  };
}

/** What a mutation does to which table. */
type Target = { command: Command; table: string; nodeType: string };

async function explain(
  urls: WhyUrls,
  { claims, id }: RefusedMutation,
  target: Target,
): Promise<Access | { decidedBy: string }> {
  const { userId, orgId, orgRole, permissions } = claims;
  const row = target.command === 'insert' ? undefined : id;
  try {
    return await askWhy(urls, {
      userId,
      orgId,
      role: orgRole,
      permissions,
      ...target,
      id: row,
    });
  } catch (error) {
    // That there is no such row is an explanation, too.
    return { decidedBy: error instanceof Error ? error.message : String(error) };
  }
}

async function addAccess(error: GraphQLError, explained: Promise<object>): Promise<void> {
  const timer = new AbortController();
  const late = sleep(waitMs, undefined, { signal: timer.signal }).catch(() => undefined);
  const access = await Promise.race([explained, late]);
  timer.abort();
  if (access) error.extensions.access = access;
}
