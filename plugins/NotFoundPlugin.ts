import {
  isSafeError,
  type ObjectStep,
  sideEffect,
  TRAP_ERROR_OR_INHIBITED,
  trap,
} from 'postgraphile/grafast';
import { RowhouseError } from '../platform/errors/registry.ts';

/**
 * An update or a delete that meets no row is `NOT_FOUND`.
 *
 * Whether the row does not exist, belongs to another organization or may not be
 * changed by the caller is not told: row-level security hides all three alike.
 * PostGraphile on its own answers an update with null and a delete with an error
 * that has no code.
 */
export const NotFoundPlugin: GraphileConfig.Plugin = {
  name: 'NotFoundPlugin',
  description: 'Updates and deletes that meet no row are NOT_FOUND',
  version: '1.0.0',
  after: ['PgMutationUpdateDeletePlugin'],

  schema: {
    hooks: {
      GraphQLObjectType_fields_field(field, _build, { scope }) {
        const { plan } = field;
        const changesRow = scope.isPgUpdateMutation || scope.isPgDeleteMutation;
        if (!changesRow || !plan) return field;
        return {
          ...field,
          plan(...args) {
            const $payload = plan(...args) as ObjectStep;
            const $row = $payload.getStepForKey('result');
            const $outcome = trap($row, TRAP_ERROR_OR_INHIBITED, {
              valueForError: 'PASS_THROUGH',
              valueForInhibited: 'NULL',
            });
            sideEffect($outcome, assertRow);
            return $payload;
          },
        };
      },
    },
  },
};

function assertRow(outcome: unknown): void {
  if (outcome == null || isNoRowError(outcome)) {
    throw new RowhouseError('NOT_FOUND', { cause: outcome });
  }
  if (outcome instanceof Error) throw outcome;
}

/** What a delete that met no row throws: a bare Error, where all others say what they are. */
function isNoRowError(outcome: unknown): boolean {
  return (
    outcome instanceof Error &&
    outcome.constructor === Error &&
    !('code' in outcome) &&
    !isSafeError(outcome)
  );
}
