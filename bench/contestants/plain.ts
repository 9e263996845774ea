import { makePgService } from 'postgraphile/adaptors/pg';
import { pgSettings } from '../../db/claims.ts';
import { makePreset } from '../../server/preset.ts';
import { callerOf, openPlainPool } from './serve.ts';
import { serveGraphql } from './serveGraphql.ts';

/**
 * PostGraphile 5 as it comes: its own adaptor, and settings as its documentation
 * shows them. Schema, policies, presets and plugins are Rowhouse's.
 */

const pool = openPlainPool();
const preset = makePreset({ pool });

await serveGraphql({
  ...preset,
  // The scope brings its own.
  disablePlugins: preset.disablePlugins?.filter((name) => name !== 'PgContextPlugin'),
  pgServices: [makePgService({ pool, schemas: ['app_public'], pubsub: false })],
  grafast: {
    context({ node }) {
      if (!node) throw new TypeError('Not a request of node:http.');
      const claims = callerOf(node.req);
      return { claims, requestId: '', pgSettings: pgSettings(claims, '') };
    },
  },
  grafserv: { ...preset.grafserv, outputDataAsString: false },
});
