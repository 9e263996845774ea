import { RowhouseError } from '../../platform/errors/registry.ts';
import { type ClerkChange, goneChange, type Key } from './changes.ts';
import type { ClerkApi, Listed } from './clerkApi.ts';

/** How far a walk through all that Clerk has is, as the database keeps it. */
export type Walk = {
  id: string;
  /** What is read now; at last what Clerk did not list is asked for one by one. */
  phase: Listed | 'missing' | 'done';
  place: number;
  /** Things looked at. */
  seen: number;
  /** Things that the mirror had otherwise. */
  changed: number;
};

/** What the walk needs of the database: one statement, a transaction of its own. */
export type WalkDatabase = {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
};

/** How a walk is done. */
export type ReconcileOptions = {
  api: ClerkApi;
  database: WalkDatabase;
  /** Told after each page. */
  onProgress?: (walk: Walk) => void;
  /** Asked between pages; what is done stays done. */
  signal?: AbortSignal;
  /** Whether to go on where a tenth of the mirror and more is gone from Clerk. */
  mayRemoveMany?: boolean;
};

/**
 * Compares the mirror with Clerk and corrects it: goes through Clerk's lists page by page, then asks
 * one by one for what the mirror has and no page had. Goes on where an earlier walk was cut off.
 *
 * @throws RowhouseError `CONFLICT` where more is missing than can be true, which means another
 * instance's key; and where another process walks. `UNAVAILABLE`, `INTERNAL` from Clerk's side.
 */
export async function reconcile({
  api,
  database,
  onProgress = () => {},
  signal,
  mayRemoveMany = false,
}: ReconcileOptions): Promise<Walk> {
  let walk = await openWalk(database);
  while (walk.phase !== 'done') {
    signal?.throwIfAborted();
    walk =
      walk.phase === 'missing'
        ? await lookForMissing(api, database, walk, mayRemoveMany)
        : await readPage(api, database, walk, walk.phase);
    onProgress(walk);
  }
  return walk;
}

/** Few at a time: each costs a request, and what is found is kept then. */
const missingAtOnce = 50;
/** Below this nothing is too much. */
const fewMissing = 20;

const after = {
  users: 'organizations',
  organizations: 'memberships',
  memberships: 'missing',
} as const;

async function readPage(
  api: ClerkApi,
  database: WalkDatabase,
  walk: Walk,
  phase: Listed,
): Promise<Walk> {
  const { changes, nextPlace } = await api.list(phase, walk.place);
  return nextPlace === undefined
    ? advance(database, walk, changes, after[phase], 0)
    : advance(database, walk, changes, phase, nextPlace);
}

async function lookForMissing(
  api: ClerkApi,
  database: WalkDatabase,
  walk: Walk,
  mayRemoveMany: boolean,
): Promise<Walk> {
  const { rows } = await database.query('select * from app_private.missing_in_clerk($1, $2)', [
    walk.id,
    missingAtOnce,
  ]);
  const missing = rows as MissingRow[];
  const [first] = missing;
  if (!first) return advance(database, walk, [], 'done', 0);
  const [count, known] = [Number(first.of_all), Number(first.known)];
  if (walk.place === 0 && count > fewMissing && count > known / 10 && !mayRemoveMany) {
    throw new RowhouseError('CONFLICT', {
      message: `Clerk does not list ${count} of the ${known} things in the mirror. Is CLERK_SECRET_KEY of the right instance? If so: npm run clerk:reconcile -- --remove-many`,
    });
  }
  const changes: ClerkChange[] = [];
  for (const row of missing) {
    const key: Key = { orgId: row.org_id, userId: row.user_id };
    const bornAt = new Date(row.born_at).toISOString();
    changes.push((await api.find(key)) ?? goneChange(key, Date.now(), bornAt));
  }
  return advance(database, walk, changes, 'missing', walk.place + changes.length);
}

type MissingRow = {
  org_id: string;
  user_id: string;
  born_at: Date;
  of_all: string;
  known: string;
};

async function openWalk(database: WalkDatabase): Promise<Walk> {
  const { rows } = await database.query('select * from app_private.open_reconciliation()');
  return walkOf(rows);
}

/** Merges what was read and notes the place, in one transaction. */
async function advance(
  database: WalkDatabase,
  { id, phase, place }: Walk,
  changes: ClerkChange[],
  nextPhase: Walk['phase'],
  nextPlace: number,
): Promise<Walk> {
  const { rows } = await database.query(
    'select * from app_private.reconcile_with_clerk($1, $2, $3, $4, $5, $6)',
    [id, phase, place, JSON.stringify(changes), nextPhase, nextPlace],
  );
  return walkOf(rows);
}

function walkOf([row]: Record<string, unknown>[]): Walk {
  if (!row) throw new RowhouseError('INTERNAL', { cause: new Error('There is no walk.') });
  const { id, phase, place, seen, changed } = row;
  return {
    id: String(id),
    phase: phase as Walk['phase'],
    place: Number(place),
    seen: Number(seen),
    changed: Number(changed),
  };
}
