import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { RowhouseError } from '../../platform/errors/registry.ts';
import {
  type ClerkChange,
  type Key,
  readable,
  readListedMembership,
  readListedOrganization,
  readListedUser,
} from './changes.ts';

/** The lists of Clerk's Backend API that the mirror is compared with. */
export type Listed = 'users' | 'organizations' | 'memberships';

/** One page of a list, oldest first. */
export type ListPage = {
  changes: ClerkChange[];
  /** How many on it could not be read: they are there, and nothing more is known of them. */
  unreadable: number;
  /** Where the next page begins; undefined after the last. */
  nextPlace: number | undefined;
};

/** What Clerk has of one thing; `unreadable` is there, in a form that is not understood. */
type Found = ClerkChange | 'absent' | 'unreadable';

/** What is asked of Clerk's Backend API. All of it throws RowhouseError `UNAVAILABLE` or `INTERNAL`. */
export type ClerkApi = {
  /** A page of a list, beginning at this place. A list that is not there is an error, not empty. */
  list(kind: Listed, place: number): Promise<ListPage>;
  /** One user, organization or membership. */
  find(key: Key): Promise<Found>;
};

/** Where the API is, and how it is asked. */
export type ClerkApiOptions = {
  url: string;
  secretKey: string;
  signal?: AbortSignal;
  /** Of one request. */
  timeoutMs?: number;
  pageSize?: number;
  /** From one request to the next. By default what keeps under Clerk's limit for this key. */
  paceMs?: number;
  /** How often one request is sent while Clerk cannot answer. */
  maxTries?: number;
};

/**
 * Makes a client of Clerk's Backend API, which waits as long as Clerk asks it to (429), tries again
 * what failed on the other side, and sends one request at a time.
 */
export function makeClerkApi({
  url,
  secretKey,
  signal = new AbortController().signal,
  timeoutMs = 15_000,
  pageSize = 250,
  // Clerk allows 1000 requests in 10 s, and 100 to a development instance. Others need some too.
  paceMs = secretKey.startsWith('sk_test_') ? 120 : 20,
  maxTries = 6,
}: ClerkApiOptions): ClerkApi {
  let nextAtMs = 0;

  async function get(path: string, query: Record<string, string | number> = {}): Promise<unknown> {
    const target = new URL(`/v1${path}`, url);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, String(value));
    for (let triesLeft = maxTries - 1; ; triesLeft -= 1) {
      await sleep(Math.max(0, nextAtMs - performance.now()), undefined, { signal });
      nextAtMs = performance.now() + paceMs;
      const answer = await ask(target);
      if ('body' in answer) return answer.body;
      if (answer.isFinal || triesLeft === 0) throw answer.error;
      const pauseMs = answer.pauseMs ?? 250 * 2 ** (maxTries - triesLeft);
      await sleep(pauseMs, undefined, { signal });
    }
  }

  async function ask(target: URL): Promise<Answer> {
    try {
      const response = await fetch(target, {
        headers: { authorization: `Bearer ${secretKey}`, accept: 'application/json' },
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      if (response.status === 200) return { body: await response.json() };
      await response.body?.cancel();
      if (response.status === 404) return { body: undefined };
      return refused(response);
    } catch (cause) {
      signal.throwIfAborted();
      return { isFinal: false, error: new RowhouseError('UNAVAILABLE', { cause }) };
    }
  }

  return {
    async list(kind, place) {
      const toldMs = Date.now();
      const { path, read } = lists[kind];
      const body = await get(path, { limit: pageSize, offset: place, order_by: '+created_at' });
      if (body === undefined) throw misfit(`Clerk answered 404 to /v1${path}, which it always has`);
      const rows = rowsOf(body);
      const changes = rows.map((row) => readable(() => read(row, toldMs)));
      return {
        changes: changes.flatMap((change) => change ?? []),
        unreadable: changes.filter((change) => change === undefined).length,
        nextPlace: rows.length < pageSize ? undefined : place + rows.length,
      };
    },
    async find({ orgId, userId }) {
      const toldMs = Date.now();
      if (orgId === '') {
        const body = await get(`/users/${encodeURIComponent(userId)}`);
        return found(body, () => readListedUser(body, toldMs));
      }
      const organization = `/organizations/${encodeURIComponent(orgId)}`;
      if (userId === '') {
        const body = await get(organization);
        return found(body, () => readListedOrganization(body, toldMs));
      }
      const body = await get(`${organization}/memberships`, { user_id: userId, limit: 10 });
      const rows = body === undefined ? [] : rowsOf(body);
      // There is one at most, and if there is another, Clerk did not understand the question.
      if (rows.length === 0) return 'absent';
      const changes = rows.flatMap(
        (row) => readable(() => readListedMembership(row, toldMs)) ?? [],
      );
      const isMeant = (change: ClerkChange) => change.orgId === orgId && change.userId === userId;
      return changes.find(isMeant) ?? 'unreadable';
    },
  };
}

/** What came of one request; a 404 has no body. */
type Answer =
  | { body: unknown }
  | { isFinal: boolean; error: RowhouseError; pauseMs?: number | undefined };

const lists = {
  users: { path: '/users', read: readListedUser },
  organizations: { path: '/organizations', read: readListedOrganization },
  memberships: { path: '/organization_memberships', read: readListedMembership },
} as const;

/** Users come as a bare list, the others with their total. */
const listSchema = z.union([z.array(z.unknown()), z.object({ data: z.array(z.unknown()) })]);

function rowsOf(body: unknown): unknown[] {
  const list = listSchema.safeParse(body);
  if (!list.success) throw misfit('Clerk answered with something that is no list');
  return Array.isArray(list.data) ? list.data : list.data.data;
}

function found(body: unknown, read: () => ClerkChange[]): Found {
  return body === undefined ? 'absent' : (readable(read)?.[0] ?? 'unreadable');
}

function misfit(message: string): RowhouseError {
  return new RowhouseError('INTERNAL', { cause: new Error(message) });
}

function refused(response: Response): Answer {
  const { status, headers } = response;
  const error = (code: 'UNAVAILABLE' | 'INTERNAL') =>
    new RowhouseError(code, {
      cause: new Error(`Clerk answered ${status} to ${new URL(response.url).pathname}`),
    });
  if (status === 429) {
    const seconds = Number(headers.get('retry-after') ?? Number.NaN);
    const pauseMs = Number.isFinite(seconds)
      ? Math.min(Math.max(seconds, 0), 120) * 1000
      : undefined;
    return { isFinal: false, error: error('UNAVAILABLE'), pauseMs };
  }
  if (status >= 500) return { isFinal: false, error: error('UNAVAILABLE') };
  // A key that is wrong is wrong the next time too.
  return { isFinal: true, error: error('INTERNAL') };
}
