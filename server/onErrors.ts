import type { GrafastExecutionArgs } from 'postgraphile/grafast';
import type { ExecutionResult } from 'postgraphile/graphql';

type SetPreset = NonNullable<
  NonNullable<NonNullable<GraphileConfig.Plugin['grafserv']>['middleware']>['setPreset']
>;

/** What a plugin does about a result that has errors, before it becomes text. */
export type OnErrors = (
  result: ExecutionResult & { errors: NonNullable<ExecutionResult['errors']> },
  args: GrafastExecutionArgs,
) => void | Promise<void>;

/**
 * Lets a plugin see the errors of each operation, as its `grafserv.middleware.setPreset`.
 * Of several plugins each sees what those before it have left.
 *
 * In place of Grafast's middleware `execute`, with which on a busy machine more of each
 * request outlives it: docs/performance.md, "What the shipped API adds".
 */
export function onErrors(tell: OnErrors): SetPreset {
  return (next, event) => {
    const { getExecutionConfig } = event;
    event.getExecutionConfig = async function (context) {
      const config = await getExecutionConfig.call(this, context);
      const execute: typeof config.execute = async (args: GrafastExecutionArgs) => {
        const result = (await config.execute(args)) as Parameters<OnErrors>[0];
        if (result.errors) await tell(result, args);
        return result as never;
      };
      return { ...config, execute };
    };
    return next();
  };
}
