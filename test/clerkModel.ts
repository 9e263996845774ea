import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { expect } from '@jest/globals';
import { signWebhook } from '../services/clerk/webhookSignature.ts';
import { makeClerkHistory, makeDice, scramble } from './clerkHistory.ts';
import { type ClerkTruth, clerkSecretKey, openClerkServer } from './clerkServer.ts';
import { startApi } from './support/api.ts';
import { openTestDatabase, type TestDatabase } from './support/database.ts';
import { runProgram, startProgram } from './support/program.ts';
import { send } from './support/send.ts';
import { until } from './support/until.ts';

/** What a run came to. */
export type ModelRun = {
  /** Changes at Clerk, and deliveries of them, some twice. */
  events: number;
  deliveries: number;
  /** What reconciliation found otherwise in the mirror. */
  repaired: number;
  memberships: number;
};

/**
 * Lets a Clerk instance live, sends its events to a real API out of order, some twice and some not
 * at all, lets a real worker apply them, reconciles, and compares the mirror with the instance.
 *
 * @param lostPercent with none lost, the mirror is right before it is reconciled.
 */
export async function runClerkModel(
  changes: number,
  seed: number,
  { lostPercent = 5, withinMs = 60_000 } = {},
): Promise<ModelRun> {
  const dice = makeDice(seed);
  const { truth, events } = makeClerkHistory(changes, dice);
  const deliveries = scramble(events, { twicePercent: 20, lostPercent }, dice);
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  const [database, clerk] = await Promise.all([openTestDatabase(), openClerkServer()]);
  clerk.truth = truth;
  const api = await startApi(database, { CLERK_WEBHOOK_SECRET: secret });
  const worker = startProgram('worker/main.ts', {
    DATABASE_WORKER_URL: database.workerUrl,
    WORKER_PORT: '0',
  });
  try {
    await deliverAll(`${api.url}/webhooks/clerk`, deliveries, secret);
    await until('the inbox to be worked off', () => isWorkedOff(database), withinMs);
    if (lostPercent === 0) await assertMirrors(database, truth);
    const first = await reconcileOnce(database, clerk.url);
    await assertMirrors(database, truth);
    // There is nothing left to correct.
    expect(await reconcileOnce(database, clerk.url)).toMatchObject({ changed: 0 });
    return {
      events: events.length,
      deliveries: deliveries.length,
      repaired: first.changed,
      memberships: truth.memberships.size,
    };
  } finally {
    await Promise.all([api.close(), worker.close(), clerk.close()]);
    await database.close();
  }
}

async function deliverAll(
  url: string,
  deliveries: readonly { id: string; body: string }[],
  secret: string,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const left = deliveries.values();
  const senders = Array.from({ length: 8 }, async () => {
    for (const { id, body } of left) {
      const timestamp = String(Math.floor(Date.now() / 1000));
      const headers = {
        'svix-id': id,
        'svix-timestamp': timestamp,
        'svix-signature': signWebhook(secret, id, timestamp, body),
      };
      const { status } = await send(url, { body, headers, agent });
      if (status !== 204) throw new Error(`A delivery was answered ${status}.`);
    }
  });
  await Promise.all(senders);
  agent.destroy();
}

async function isWorkedOff({ superuser }: TestDatabase): Promise<boolean> {
  const { rows } = await superuser.query(
    `select count(*)::int as n, count(error_code)::int as failed from app_private.clerk_events where outcome is null`,
  );
  expect(rows[0].failed).toBe(0);
  return rows[0].n === 0;
}

async function reconcileOnce(
  { workerUrl }: TestDatabase,
  clerkUrl: string,
): Promise<{ seen: number; changed: number }> {
  const { code, text } = await runProgram(
    'worker/reconcileCommand.ts',
    {
      DATABASE_WORKER_URL: workerUrl,
      CLERK_SECRET_KEY: clerkSecretKey,
      CLERK_API_URL: clerkUrl,
    },
    ['--json', '--remove-many'],
  );
  expect({ code, text }).toEqual({ code: 0, text: expect.stringMatching(/^\{/) });
  return JSON.parse(text);
}

/** Compares the mirror with an instance, whole. */
export async function assertMirrors(
  { superuser }: Pick<TestDatabase, 'superuser'>,
  { users, organizations, memberships }: ClerkTruth,
): Promise<void> {
  type Named = { id: string; name: string | null; email?: string | null; slug?: string | null };
  const rowsOf = async <Row>(sql: string) => (await superuser.query(sql)).rows as Row[];
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  const mirrored = await rowsOf<Named>('select id, name, email from app_public.users');
  const isKnown = ({ id }: Named) => users.has(id);
  expect(mirrored.filter(isKnown).sort(byId)).toEqual([...users.values()].map(asUser).sort(byId));
  // Of those who are gone the ids alone are left.
  for (const row of mirrored.filter((one) => !isKnown(one))) {
    expect(row).toEqual({ id: row.id, name: null, email: null });
  }
  const spaces = await rowsOf<Named>('select id, name, slug from app_public.organizations');
  expect(spaces.filter(({ id }) => organizations.has(id)).sort(byId)).toEqual(
    [...organizations.values()].map(({ id, name, slug }) => ({ id, name, slug })).sort(byId),
  );
  const members = await rowsOf<{ id: string; role: string }>(
    `select org_id || ' ' || user_id as id, 'org:' || role as role from app_public.memberships`,
  );
  expect(members.sort(byId)).toEqual(
    [...memberships].map(([id, { role }]) => ({ id, role })).sort(byId),
  );
}

function asUser(user: Record<string, unknown>) {
  const { id, first_name: first, last_name: last, primary_email_address_id: primary } = user;
  const [address] = user.email_addresses as { email_address: string }[];
  return {
    id: String(id),
    name: [first, last].filter((name) => name).join(' '),
    email: primary ? (address?.email_address ?? null) : null,
  };
}
