import { Command } from 'commander';
import { startLocalStack } from './localStack.ts';

/** `npm start`: the whole local stack. */

new Command('start')
  .description(
    'Starts everything on this machine: Postgres, an issuer of tokens, a store for files, ' +
      'an AI service, migrations, demo data, ' +
      'the API and the worker. Data stays in .data/. Ctrl-C stops everything.\n\n' +
      'PORT, HOST and the other settings of docs/configuration.md are honoured. Where ' +
      'DATABASE_URL, CLERK_ISSUER, S3_BUCKET_UPLOADS or AI_SERVICE_URL is set, the real one is used and nothing local is started for it.',
  )
  .parse();

await startLocalStack();
