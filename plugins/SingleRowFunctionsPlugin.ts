import 'postgraphile/graphile-build-pg';

/**
 * A set-returning function declared `rows 1` answers one row, not a list.
 *
 * Postgres plans the query of a set-returning function as part of the statement that
 * calls it, and runs any other as a statement of its own, which takes longer than
 * the small queries such functions hold.
 */
export const SingleRowFunctionsPlugin: GraphileConfig.Plugin = {
  name: 'SingleRowFunctionsPlugin',
  description: 'Set-returning functions of one row answer that row',
  version: '1.0.0',

  gather: {
    hooks: {
      pgProcedures_functionResourceOptions(_info, { pgProc, functionResourceOptions }) {
        if (!pgProc.proretset || Number(pgProc.prorows) !== 1) return;
        functionResourceOptions.returnsSetof = false;
        functionResourceOptions.hasImplicitOrder = false;
      },
    },
  },
};
