import type { Pool } from 'pg';
import { makeSchema } from 'postgraphile';
import { grafast } from 'postgraphile/grafast';
import type { ExecutionResult } from 'postgraphile/graphql';
import type { Claims } from '../../db/claims.ts';
import { stateOf } from '../../server/http/requestState.ts';
import { tellErrors } from '../../server/OperationsPlugin.ts';
import { makePreset, type PresetOptions } from '../../server/preset.ts';
import type { TestCaller } from './database.ts';

/** Runs an operation as a caller, in this process and without HTTP. */
export type RunOperation = (
  caller: TestCaller,
  source: string,
  variables?: Record<string, unknown>,
) => Promise<ExecutionResult>;

/** Builds the API's schema over a pool; without a bucket for uploads and a service for texts unless told. */
export async function makeOperations(
  pool: Pool,
  services: Pick<PresetOptions, 'uploads' | 'generations'> = {},
): Promise<RunOperation> {
  const preset = makePreset({ pool, ...services });
  const { schema, resolvedPreset } = await makeSchema(preset);
  return async (caller, source, variables) => {
    // As much of a request as the preset reads.
    const req = { headers: { 'x-request-id': 'golden' } } as never;
    stateOf(req).claims = claimsOf(caller);
    const result = (await grafast({
      schema,
      source,
      resolvedPreset,
      requestContext: { node: { req, res: {} as never } } as never,
      variableValues: variables ?? {},
    })) as ExecutionResult;
    if (result.errors) tellErrors(result, req, () => {});
    return JSON.parse(JSON.stringify(result));
  };
}

/** The claims of a caller, as a verified token would give them. */
export function claimsOf({
  userId,
  orgId,
  orgRole = 'member',
  permissions = [],
  actorId = null,
  firstFactorAtMs = null,
  secondFactorAtMs = null,
}: TestCaller): Claims {
  const isPersonal = userId === orgId;
  return {
    userId,
    orgId,
    isPersonal,
    orgRole: isPersonal ? '' : orgRole,
    permissions,
    sessionId: null,
    orgSlug: null,
    email: null,
    name: null,
    actorId,
    firstFactorAtMs,
    secondFactorAtMs,
    expiresAtMs: Date.now() + 60_000,
  };
}
