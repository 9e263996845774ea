import { stateOf } from '../../server/http/requestState.ts';
import { makePreset } from '../../server/preset.ts';
import { callerOf, openApiPool } from './serve.ts';
import { serveGraphql } from './serveGraphql.ts';

/** Rowhouse's preset, plugins and scope, and nothing around them. */

await serveGraphql(makePreset({ pool: openApiPool() }), (request) => {
  stateOf(request).claims = callerOf(request);
});
