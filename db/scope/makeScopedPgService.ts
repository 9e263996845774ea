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
  /** Whether LISTEN is available, for subscriptions. */
  pubsub: boolean;
  /** False behind a pooler that gives each transaction another connection. */
  usePrepared?: boolean;
  /** There, what a session of our own would have from its start. */
  limits?: Limits | undefined;
};

/** PostGraphile's own service, with the caller's scope in place of its adaptor. */
export type ScopedPgService = GraphileConfig.PgServiceConfiguration & {
  /**
   * What PgContextPlugin would put into a request's context, where each statement
   * then looks its adaptor up and sets a timer. Disable it, and put this there.
   */
  context: Partial<Grafast.Context>;
};

/** Makes the service of one pool. */
export function makeScopedPgService({
  pool,
  schemas,
  pubsub,
  usePrepared = true,
  limits,
}: ScopedPgServiceOptions): ScopedPgService {
  const service = makePgService({ pool, schemas: [...schemas], pubsub });
  // PostGraphile types its adaptors by the client they hand out; ours has no raw one outside a transaction.
  const withPgClient = makeWithPgClient(
    pool,
    usePrepared,
    limits,
  ) as unknown as WithPgClient<never>;
  const { pgSubscriber } = service as { pgSubscriber?: Grafast.Context['pgSubscriber'] };
  return {
    ...service,
    adaptor: { makePgService, createWithPgClient: () => withPgClient },
    context: { withPgClient, pgSubscriber: pgSubscriber ?? null },
  };
}
