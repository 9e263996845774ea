import { Command } from 'commander';
import { openPool } from '../db/pool.ts';
import { loadConfigOrExit } from '../platform/config/loadConfigOrExit.ts';
import { makeClerkApi } from '../services/clerk/clerkApi.ts';
import { reconcile, type Walk } from '../services/clerk/reconcile.ts';

/** `npm run clerk:reconcile`: compares the mirror with Clerk, now and here. */

const program = new Command('clerk:reconcile')
  .description(
    'Compares users, organizations and memberships in the database of DATABASE_WORKER_URL with Clerk ' +
      '(CLERK_SECRET_KEY), and corrects the database. Goes on where an earlier run was cut off.',
  )
  .option(
    '--remove-many',
    'go on where Clerk lacks most of what the database has, or a tenth and more of much',
  )
  .option('--json', 'print the result as JSON, and no progress')
  .showHelpAfterError()
  .allowExcessArguments(false)
  .action(
    async ({ removeMany = false, json = false }: { removeMany?: boolean; json?: boolean }) => {
      const { clerkSecretKey, clerkApiUrl, databaseWorkerUrl } = loadConfigOrExit('worker');
      if (clerkSecretKey === undefined) {
        throw new Error('CLERK_SECRET_KEY is not set: without it Clerk cannot be asked.');
      }
      const asked = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM'] as const) {
        process.once(name, () =>
          asked.abort(new Error('Stopped. The next run goes on from here.')),
        );
      }
      const pool = openPool({
        connectionString: databaseWorkerUrl,
        size: 1,
        applicationName: 'rowhouse-reconcile',
        onConnectionError: () => {},
      });
      try {
        // Before the first look: also one that is cut off may have shut somebody out.
        await pool.query("select app_private.audit_command('clerk:reconcile', $1)", [
          { remove_many: removeMany },
        ]);
        const walk = await reconcile({
          api: makeClerkApi({
            url: clerkApiUrl,
            secretKey: clerkSecretKey,
            signal: asked.signal,
          }),
          database: pool,
          signal: asked.signal,
          mayRemoveMany: removeMany,
          onProgress: json ? () => {} : showProgress,
        });
        const { seen, changed, unreadable } = walk;
        const kept = unreadable > 0 ? ` ${unreadable} could not be read, and were left alone.` : '';
        print(
          json
            ? JSON.stringify({ seen, changed, unreadable })
            : `Done: ${seen} looked at, ${changed} corrected.${kept}`,
        );
      } finally {
        await pool.end();
      }
    },
  );

try {
  await program.parseAsync();
} catch (error) {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`${message}${cause instanceof Error ? ` (${cause.message})` : ''}\n`);
  process.exitCode = 1;
}

function showProgress({ phase, seen, changed }: Walk): void {
  if (phase !== 'done') print(`${phase.padEnd(13)} ${seen} looked at, ${changed} corrected so far`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
