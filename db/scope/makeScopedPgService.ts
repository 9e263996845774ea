import type { Pool } from 'pg';
import type { WithPgClient } from 'postgraphile/@dataplan/pg';
import { makePgService } from 'postgraphile/adaptors/pg';
import { makeWithPgClient } from './makeWithPgClient.ts';
import type { Limits } from './settings.ts';

/** Where and how PostGraphile reaches Postgres. */
export type ScopedPgServiceOptions = {
  /** The API's login. */
  pool: Pool;
  /** Exposed schemas. */
  schemas: readonly string[];
  /** Whether LISTEN is available: for following schema changes, and for subscriptions. */
  pubsub: boolean;
  /** False behind a pooler that gives each transaction another connection. */
  usePrepared?: boolean;
  /** There, what a session of our own would have from its start. */
  limits?: Limits | undefined;
};

/** PostGraphile's own service, with the caller's scope in place of its adaptor. */
export function makeScopedPgService({
  pool,
  schemas,
  pubsub,
  usePrepared = true,
  limits,
}: ScopedPgServiceOptions): GraphileConfig.PgServiceConfiguration {
  const service = makePgService({ pool, schemas: [...schemas], pubsub });
  // PostGraphile types its adaptors by the client they hand out; ours has no raw one outside a transaction.
  const createWithPgClient = () =>
    makeWithPgClient(pool, usePrepared, limits) as unknown as WithPgClient<never>;
  return { ...service, adaptor: { makePgService, createWithPgClient } };
}
