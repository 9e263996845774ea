/** `npm run -s token`: prints a token of the local issuer, and nothing else. */
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../platform/config/loadConfig.ts';
import { issuerUrl } from './issuer.ts';
import { openIssuerRecord } from './issuerRecord.ts';
import { signToken } from './signToken.ts';
import { describeProblems, tokenRequestSchema } from './tokenRequest.ts';

const command = new Command()
  .name('npm run -s token --')
  .description(
    'Prints a session token of the local issuer, in the format of Clerk. ' +
      'Works whether or not the local stack is running.',
  )
  .requiredOption('--user <id>', 'the user, for example user_alice')
  .option('--org <id>', 'the active organization; without it, the personal space')
  .option(
    '--role <role>',
    'role in the organization: admin, member or a custom one (default: member)',
  )
  .option('--permission <permission...>', 'custom permission such as org:docs:manage; repeatable')
  .option('--email <email>', 'email claim')
  .option('--name <name>', 'name claim')
  .option('--ttl <seconds>', 'time to live', seconds, 3600)
  .option('--v1', "version 1 of Clerk's format instead of 2")
  .showHelpAfterError('(--help shows the options)')
  .allowExcessArguments(false)
  .action(async ({ v1, permission, ...options }) => {
    const asked = tokenRequestSchema.safeParse({ ...options, permissions: permission });
    if (!asked.success) throw new Error(describeProblems(asked.error));
    const { issuer, dataDir } = localIssuer();
    const { key, port } = await openIssuerRecord(dataDir);
    const version = v1 ? 1 : 2;
    const token = await signToken({
      ...asked.data,
      version,
      key,
      issuer: issuer ?? issuerUrl(port),
    });
    process.stdout.write(`${token}\n`);
  });

try {
  await command.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** The issuer as configured, if its tokens can be signed here. */
function localIssuer(): { issuer: string | undefined; dataDir: string } {
  const { clerkIssuer, clerkJwksUrl, dataDir } = loadConfig('none');
  for (const [variable, url] of Object.entries({
    CLERK_ISSUER: clerkIssuer,
    CLERK_JWKS_URL: clerkJwksUrl,
  })) {
    if (url !== undefined && !isThisMachine(url)) {
      throw new Error(
        `${variable} is ${url}, which is not the local issuer: its tokens come from there. ` +
          'Unset the Clerk settings to use the local issuer.',
      );
    }
  }
  return { issuer: clerkIssuer, dataDir };
}

function isThisMachine(url: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);
}

function seconds(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Give whole seconds.');
  return Number(text);
}
