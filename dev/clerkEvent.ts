/** `npm run clerk:event`: sends a signed event of Clerk's to the local API. */
import { randomBytes } from 'node:crypto';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { loadConfig } from '../platform/config/loadConfig.ts';
import { signWebhook } from '../services/clerk/webhookSignature.ts';

/** What the events are made of. */
type Flags = {
  user?: string;
  org?: string;
  role: string;
  name?: string;
  email?: string;
  slug?: string;
  at: number;
  id: string;
  url?: string;
  print?: true;
};

const types = ['user', 'organization', 'organizationMembership'].flatMap((kind) =>
  ['created', 'updated', 'deleted'].map((verb) => `${kind}.${verb}`),
);

const command = new Command()
  .name('npm run clerk:event --')
  .description(
    'Sends an event as Clerk would, signed with CLERK_WEBHOOK_SECRET, to the local API. ' +
      'Needs the local stack (npm start), whose worker then applies it.',
  )
  .addArgument(new Argument('<type>', 'what happened').choices(types))
  .option('--user <id>', 'the user, for example user_bob')
  .option('--org <id>', 'the organization, for example org_acme')
  .option('--role <role>', 'of a membership', 'member')
  .option('--name <name>', 'of a user or an organization')
  .option('--email <email>', 'of a user')
  .option('--slug <slug>', 'of an organization')
  .addOption(
    new Option('--at <time>', 'when it happened, as ISO 8601')
      .default(Date.now(), 'now')
      .argParser(milliseconds),
  )
  .option('--id <id>', 'of the delivery; the same again is a duplicate', newId())
  .option('--url <url>', 'of the API, instead of the local one')
  .option('--print', 'print the event, and send nothing')
  .addHelpText(
    'after',
    `
Examples:
  npm run clerk:event -- user.updated --user user_bob --name 'Bob Brown' --email bob@example.com
  npm run clerk:event -- organization.updated --org org_acme --name 'Acme Inc'
  npm run clerk:event -- organizationMembership.deleted --user user_bob --org org_acme
  npm run clerk:event -- user.deleted --user user_bob`,
  )
  .showHelpAfterError('(--help shows the options)')
  .allowExcessArguments(false)
  .action(async (type: string, flags: Flags) => {
    const body = JSON.stringify(eventOf(type, flags), null, flags.print ? 2 : 0);
    if (flags.print) return say(body);
    const { status, text } = await send(body, flags);
    if (status >= 300) throw new Error(`The API answered ${status}: ${text}`);
    say(`${type}: ${status}, delivered as ${flags.id}.`);
  });

try {
  await command.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function eventOf(type: string, flags: Flags): object {
  const kind = type.split('.')[0];
  const data = { user: userOf, organization: organizationOf, organizationMembership: membershipOf }[
    kind as 'user'
  ](flags, type.endsWith('.deleted'));
  return { object: 'event', type, timestamp: flags.at, instance_id: 'ins_local', data };
}

function userOf({ user, name = '', email, at }: Flags, isDeleted: boolean): object {
  const id = need(user, '--user');
  if (isDeleted) return { object: 'user', id, deleted: true };
  const [first, ...rest] = name.split(' ');
  return {
    object: 'user',
    id,
    first_name: first || null,
    last_name: rest.join(' ') || null,
    primary_email_address_id: email ? 'idn_1' : null,
    email_addresses: email ? [{ id: 'idn_1', email_address: email }] : [],
    updated_at: at,
  };
}

function organizationOf({ org, name, slug, at }: Flags, isDeleted: boolean): object {
  const id = need(org, '--org');
  if (isDeleted) return { object: 'organization', id, deleted: true };
  const shortName = slug ?? id.replace(/^org_/, '').toLowerCase();
  return { object: 'organization', id, name: name ?? shortName, slug: shortName, updated_at: at };
}

/** Without the time at which it began, which nobody here knows: the API takes that of the event. */
function membershipOf({ org, user, role, at }: Flags): object {
  const [orgId, userId] = [need(org, '--org'), need(user, '--user')];
  return {
    object: 'organization_membership',
    id: `orgmem_${orgId}_${userId}`,
    role: `org:${role.replace(/^org:/, '')}`,
    organization: { object: 'organization', id: orgId },
    public_user_data: { user_id: userId },
    updated_at: at,
  };
}

async function send(body: string, { id, url }: Flags): Promise<{ status: number; text: string }> {
  const { clerkWebhookSecret: secret, port } = loadConfig('none');
  if (secret === undefined) {
    throw new Error('CLERK_WEBHOOK_SECRET is not set. Start the local stack first: npm start.');
  }
  const timestamp = String(Math.floor(Date.now() / 1000));
  const response = await fetch(`${url ?? `http://127.0.0.1:${port}`}/webhooks/clerk`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'svix-id': id,
      'svix-timestamp': timestamp,
      'svix-signature': signWebhook(secret, id, timestamp, body),
    },
    body,
  }).catch((cause: unknown) => {
    throw new Error(`Nothing answers on port ${port}. Is the local stack running (npm start)?`, {
      cause,
    });
  });
  return { status: response.status, text: await response.text() };
}

function need(value: string | undefined, option: string): string {
  if (value === undefined) throw new Error(`${option} is missing. (--help shows the options)`);
  return value;
}

function milliseconds(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new InvalidArgumentError('Give a time such as 2026-11-22T10:00:00Z.');
  return time;
}

function newId(): string {
  return `msg_${randomBytes(14).toString('hex')}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
