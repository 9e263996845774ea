import { stateOf } from '../../server/http/requestState.ts';
import { makePreset } from '../../server/preset.ts';
import { callerOf } from './serve.ts';
import { serveGraphql } from './serveGraphql.ts';

/** Rowhouse's preset, plugins and scope, and nothing around them. */

await serveGraphql(
  (pool) => makePreset({ pool }),
  (request) => {
    stateOf(request).claims = callerOf(request);
  },
);
