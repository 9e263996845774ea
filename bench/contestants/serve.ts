import type { IncomingMessage, Server } from 'node:http';
import { Pool } from 'pg';
import type { Claims } from '../../db/claims.ts';
import { openPool } from '../../db/pool.ts';
import { permissions } from '../callers.ts';

// What all contestants share. A contestant reads its settings from the same variables as the API.
const { PORT, DATABASE_URL = '', DATABASE_POOL_SIZE } = process.env;

/** The API's own pool. */
export function openApiPool(): Pool {
  return openPool({
    connectionString: DATABASE_URL,
    size: Number(DATABASE_POOL_SIZE),
    applicationName: 'rowhouse-bench',
    statementTimeoutMs: 10_000,
    onConnectionError: (error) => console.error(error),
  });
}

/** node-postgres's pool as it comes, of the same size. */
export function openPlainPool(): Pool {
  return new Pool({ connectionString: DATABASE_URL, max: Number(DATABASE_POOL_SIZE) });
}

/** Listens where the bench said. */
export function listen(server: Server): void {
  server.listen(Number(PORT), '127.0.0.1');
}

/** Whom a request is from, by a header of the form `user/organization/role` that nobody checks. */
export function callerOf(request: IncomingMessage): Claims {
  const [userId = '', orgId = '', orgRole = ''] = String(request.headers['x-caller']).split('/');
  return {
    userId,
    orgId,
    orgRole,
    isPersonal: false,
    permissions,
    sessionId: null,
    orgSlug: null,
    email: null,
    name: null,
    actorId: null,
    firstFactorAtMs: null,
    secondFactorAtMs: null,
    expiresAtMs: Number.POSITIVE_INFINITY,
  };
}
