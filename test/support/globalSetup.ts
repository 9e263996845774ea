import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../db/migrate.ts';
import { openIssuer } from '../../dev/issuer.ts';
import { openPostgres } from '../../dev/postgres.ts';
import { runSql } from './emptyDatabase.ts';
import { type Environment, share } from './environment.ts';

/** Opens what all tests share: a Postgres with a migrated template database, and an issuer. */
export default async function globalSetup(): Promise<void> {
  // With nothing left to do, Node may wait for ever for a handle of a torn down test to
  // close. Leaving by process.exit does not wait; what is still open would have kept it here.
  process.once('beforeExit', () => process.exit());
  const postgres = await openPostgres({ ephemeral: true });
  const url = (login: string) => postgres.urlFor(login, 'rowhouse');
  await migrate({
    ownerUrl: url('rowhouse_owner'),
    apiUrl: url('rowhouse_api'),
    workerUrl: url('rowhouse_worker'),
    onProgress: () => {},
  });
  // What test/faults weakens, to see that some test fails.
  const mutation = process.env.TEST_MUTATION;
  if (mutation) await runSql(postgres.urlFor('postgres', 'rowhouse'), mutation);
  const issuerDir = await mkdtemp(join(tmpdir(), 'rowhouse-test-issuer-'));
  const issuer = await openIssuer({ dir: issuerDir });
  const environment: Environment = {
    superuserUrl: postgres.superuserUrl,
    ownerUrl: url('rowhouse_owner'),
    apiUrl: url('rowhouse_api'),
    workerUrl: url('rowhouse_worker'),
    issuerUrl: issuer.url,
    jwksUrl: issuer.jwksUrl,
    issuerDir,
  };
  share(environment, async () => {
    await issuer.close();
    await postgres.close();
  });
}
