import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Users, organizations and memberships as a Clerk instance has them. */
export type ClerkTruth = {
  users: Map<string, ClerkObject>;
  organizations: Map<string, ClerkObject>;
  /** By `<organization> <user>`. */
  memberships: Map<string, ClerkObject>;
};

/** An object in Clerk's format. */
export type ClerkObject = { id: string; created_at: number; updated_at: number } & Record<
  string,
  unknown
>;

/** A server that speaks the lists of Clerk's Backend API. */
export type ClerkServer = {
  url: string;
  /** What it lists from now on. */
  truth: ClerkTruth;
  /** Paths with their queries, in the order in which they were asked for. */
  asked: string[];
  /** Answers the next requests for a list otherwise. */
  misbehaveNext(...answers: ((response: ServerResponse) => void)[]): void;
  close(): Promise<void>;
};

/** The key it asks for. */
export const clerkSecretKey = 'sk_test_of_the_tests';

/** An instance with nothing in it. */
export function emptyTruth(): ClerkTruth {
  return { users: new Map(), organizations: new Map(), memberships: new Map() };
}

/** Opens one on a free port. It pages as Clerk does: by limit and offset, oldest first when asked. */
export async function openClerkServer(): Promise<ClerkServer> {
  const asked: string[] = [];
  const instead: ((response: ServerResponse) => void)[] = [];
  const clerk = { truth: emptyTruth() };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://clerk');
    asked.push(`${url.pathname}${url.search}`);
    const misbehave = url.pathname.split('/').length === 3 ? instead.shift() : undefined;
    if (misbehave) return misbehave(response);
    if (request.headers.authorization !== `Bearer ${clerkSecretKey}`) {
      return send(response, 401, { errors: [] });
    }
    const body = answer(clerk.truth, url);
    send(response, body === undefined ? 404 : 200, body ?? { errors: [] });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return Object.assign(clerk, {
    url: `http://127.0.0.1:${port}`,
    asked,
    misbehaveNext: (...answers: ((response: ServerResponse) => void)[]) => {
      instead.push(...answers);
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  });
}

function answer(truth: ClerkTruth, { pathname, searchParams }: URL): unknown {
  const [, , kind = '', id = '', more] = pathname.split('/').map(decodeURIComponent);
  const page = (all: Iterable<ClerkObject>) => {
    const sorted = [...all].sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
    if (searchParams.get('order_by') !== '+created_at') sorted.reverse();
    const offset = Number(searchParams.get('offset') ?? 0);
    // Clerk gives no more than 500.
    return sorted.slice(offset, offset + Math.min(Number(searchParams.get('limit') ?? 10), 500));
  };
  const counted = (all: ClerkObject[]) => ({ data: page(all), total_count: all.length });
  const memberships = [...truth.memberships];
  if (kind === 'users') return id ? truth.users.get(id) : page(truth.users.values());
  if (kind === 'organization_memberships') return counted(memberships.map(([, one]) => one));
  if (kind !== 'organizations') return undefined;
  if (!id) return counted([...truth.organizations.values()]);
  if (!more) return truth.organizations.get(id);
  if (!truth.organizations.has(id)) return undefined;
  const userId = searchParams.get('user_id');
  return counted(memberships.filter(([key]) => key === `${id} ${userId}`).map(([, one]) => one));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
