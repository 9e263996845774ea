import { type ClerkTruth, emptyTruth } from './clerkServer.ts';

/** What happens in a Clerk instance, and the events that tell of it. */
export type ClerkHistory = {
  /** How the instance ends. */
  truth: ClerkTruth;
  /** One for each change, in their order, each with the id of its delivery. */
  events: { id: string; body: string }[];
};

/** Draws numbers below a limit, always the same ones for a seed. */
export function makeDice(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) % limit;
  };
}

/**
 * Lets so many changes happen: people and organizations come, change and go, members join, change
 * roles, leave and come back. As at Clerk, what goes takes its memberships along.
 */
export function makeClerkHistory(changes: number, dice: (limit: number) => number): ClerkHistory {
  const truth = emptyTruth();
  const { users, organizations, memberships } = truth;
  const events: ClerkHistory['events'] = [];
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  let count = 0;
  const pick = <Value>(values: Iterable<Value>): Value | undefined => {
    const all = [...values];
    return all[dice(Math.max(all.length, 1))];
  };
  const tell = (type: string, data: object) => {
    count += 1;
    const body = JSON.stringify({ object: 'event', type, timestamp: nowMs, data });
    events.push({ id: `msg_${count}`, body });
  };
  const userOf = (id: string, createdMs: number) => ({
    id,
    first_name: `First${dice(100)}`,
    last_name: dice(3) ? `Last${dice(100)}` : null,
    primary_email_address_id: dice(4) ? 'idn_1' : null,
    email_addresses: [{ id: 'idn_1', email_address: `mail${dice(1000)}@example.com` }],
    created_at: createdMs,
    updated_at: nowMs,
  });
  const organizationOf = (id: string, createdMs: number) => ({
    id,
    name: `Name ${dice(1000)}`,
    slug: dice(5) ? `slug-${dice(1000)}` : null,
    created_at: createdMs,
    updated_at: nowMs,
  });
  const endMembership = (key: string) => {
    const membership = memberships.get(key);
    memberships.delete(key);
    // Clerk tells of it as it last was.
    tell('organizationMembership.deleted', membership ?? {});
  };
  const endAll = (isMeant: (orgId: string, userId: string) => boolean) => {
    for (const key of [...memberships.keys()]) {
      const [orgId = '', userId = ''] = key.split(' ');
      if (isMeant(orgId, userId)) endMembership(key);
    }
  };

  const deeds: (() => void)[] = [
    () => {
      const user = userOf(`user_${count}`, nowMs);
      users.set(user.id, user);
      tell('user.created', user);
    },
    () => {
      const known = pick(users.values());
      if (!known) return;
      const user = userOf(known.id, known.created_at);
      users.set(user.id, user);
      tell('user.updated', user);
    },
    () => {
      const known = dice(3) ? undefined : pick(users.keys());
      if (!known) return;
      users.delete(known);
      endAll((_, userId) => userId === known);
      tell('user.deleted', { object: 'user', id: known, deleted: true });
    },
    () => {
      const organization = organizationOf(`org_${count}`, nowMs);
      organizations.set(organization.id, organization);
      tell('organization.created', organization);
    },
    () => {
      const known = pick(organizations.values());
      if (!known) return;
      const organization = organizationOf(known.id, known.created_at);
      organizations.set(organization.id, organization);
      tell('organization.updated', organization);
    },
    () => {
      const known = dice(5) ? undefined : pick(organizations.keys());
      if (!known) return;
      organizations.delete(known);
      endAll((orgId) => orgId === known);
      tell('organization.deleted', { object: 'organization', id: known, deleted: true });
    },
    ...Array.from({ length: 4 }, () => () => {
      const [user, organization] = [pick(users.values()), pick(organizations.values())];
      if (!user || !organization) return;
      const key = `${organization.id} ${user.id}`;
      const known = memberships.get(key);
      if (known && !dice(2)) return endMembership(key);
      const membership = {
        id: String(known?.id ?? `orgmem_${count}`),
        role: `org:${['admin', 'member', 'editor'][dice(3)]}`,
        organization,
        public_user_data: { user_id: user.id, identifier: 'x' },
        created_at: known?.created_at ?? nowMs,
        updated_at: nowMs,
      };
      memberships.set(key, membership);
      tell(`organizationMembership.${known ? 'updated' : 'created'}`, membership);
    }),
  ];
  while (events.length < changes) {
    // Several things may happen within a millisecond, but not to the same object.
    nowMs += 1 + dice(1000);
    deeds[dice(deeds.length)]?.();
  }
  return { truth, events };
}

/** A list in another order, some entries twice and some not at all. */
export function scramble<Entry>(
  entries: readonly Entry[],
  { twicePercent, lostPercent }: { twicePercent: number; lostPercent: number },
  dice: (limit: number) => number,
): Entry[] {
  const sent = entries.flatMap((entry) => {
    if (dice(100) < lostPercent) return [];
    return dice(100) < twicePercent ? [entry, entry] : [entry];
  });
  for (let i = sent.length - 1; i > 0; i -= 1) {
    const j = dice(i + 1);
    [sent[i], sent[j]] = [sent[j] as Entry, sent[i] as Entry];
  }
  return sent;
}
