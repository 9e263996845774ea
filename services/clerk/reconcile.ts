import { RowhouseError } from '../../platform/errors/registry.ts';
import { type ClerkChange, goneChange, type Key } from './changes.ts';
import type { ClerkApi, Listed } from './clerkApi.ts';

/** How far a walk through all that Clerk has is, as the database keeps it. */
export type Walk = {
  id: string;
  /**
   * What is read now; at last what Clerk did not list is asked for one by one. `refused` where more
   * was missing than can be true.
   */
  phase: Listed | 'missing' | 'done' | 'refused';
  place: number;
  /** Things looked at. */
  seen: number;
  /** Things that the mirror had otherwise. */
  changed: number;
};

/** How a walk ended. */
type Reconciled = Walk & {
  /** What Clerk has in a form that is not understood, as far as this run has read: it stays as it is in the mirror. */
  unreadable: number;
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
  /** Whether to go on where Clerk knows little of what is in the mirror, or nothing. */
  mayRemoveMany?: boolean;
};

/**
 * Compares the mirror with Clerk and corrects it: goes through Clerk's lists page by page, then asks
 * one by one for what the mirror has and no page had. Goes on where an earlier walk was cut off.
 *
 * @throws RowhouseError `CONFLICT` where Clerk knows nothing of the mirror, before anything changes,
 * or less than can be true, before anything is removed: both mean the key of another instance. Also
 * where another process walks. `UNAVAILABLE`, `INTERNAL` from Clerk's side.
 */
export async function reconcile({
  api,
  database,
  onProgress = () => {},
  signal,
  mayRemoveMany = false,
}: ReconcileOptions): Promise<Reconciled> {
  if (!mayRemoveMany) await assertInCommon(api, database);
  let walk = await openWalk(database);
  const unreadable: Unreadable = { listed: 0, kept: new Set() };
  const steps: Steps = { api, database, mayRemoveMany, unreadable };
  while (walk.phase !== 'done' && walk.phase !== 'refused') {
    signal?.throwIfAborted();
    walk = await (walk.phase === 'missing'
      ? lookForMissing(steps, walk)
      : readPage(steps, walk, walk.phase));
    onProgress(walk);
  }
  return { ...walk, unreadable: Math.max(unreadable.listed, unreadable.kept.size) };
}

type Steps = Pick<ReconcileOptions, 'api' | 'database'> & {
  mayRemoveMany: boolean;
  unreadable: Unreadable;
};

/** What this run could not read: how many on lists, and what was kept since it is there. */
type Unreadable = { listed: number; kept: Set<string> };

/** Few at a time: each costs a request, and what is found is kept then. */
const missingAtOnce = 50;
/** So many strangers in a row, drawn by lot, and the mirror is another instance's. */
const sampleSize = 20;

/** Whether so much is missing that it is not true: more than half, and of a larger mirror a tenth. */
const isTooMuch = (missing: number, known: number) =>
  missing > known / 2 || (missing > 20 && missing > known / 10);

const after = {
  users: 'organizations',
  organizations: 'memberships',
  memberships: 'missing',
} as const;

/** Asks for a few of whom the mirror knows. Mostly the first is there, and that is enough. */
async function assertInCommon(api: ClerkApi, database: WalkDatabase): Promise<void> {
  const { rows } = await database.query('select * from app_private.sample_of_mirror($1)', [
    sampleSize,
  ]);
  for (const { org_id: orgId, user_id: userId } of rows as MirroredRow[]) {
    if (typeof (await api.find({ orgId, userId })) === 'object') return;
  }
  if (rows.length > 0) {
    throw otherInstance(
      `Clerk has none of ${rows.length} users and organizations in the mirror that were asked for.`,
    );
  }
}

async function readPage(
  { api, database, unreadable }: Steps,
  walk: Walk,
  phase: Listed,
): Promise<Walk> {
  const page = await api.list(phase, walk.place);
  unreadable.listed += page.unreadable;
  return page.nextPlace === undefined
    ? advance(database, walk, page.changes, after[phase], 0)
    : advance(database, walk, page.changes, phase, page.nextPlace);
}

async function lookForMissing(
  { api, database, mayRemoveMany, unreadable: { kept } }: Steps,
  walk: Walk,
): Promise<Walk> {
  const { rows } = await database.query('select * from app_private.missing_in_clerk($1, $2)', [
    walk.id,
    missingAtOnce + kept.size,
  ]);
  const missing = (rows as MissingRow[]).filter((row) => !kept.has(nameOf(row)));
  const [first] = missing;
  if (!first) return advance(database, walk, [], 'done', 0);
  const [count, known] = [Number(first.of_all), Number(first.known)];
  if (walk.place === 0 && kept.size === 0 && isTooMuch(count, known) && !mayRemoveMany) {
    // Over, so that the next run looks at all anew, perhaps with another key.
    await advance(database, walk, [], 'refused', 0);
    throw otherInstance(`Clerk does not list ${count} of the ${known} things in the mirror.`);
  }
  const changes: ClerkChange[] = [];
  for (const row of missing) {
    const key: Key = { orgId: row.org_id, userId: row.user_id };
    const askedMs = Date.now();
    const found = await api.find(key);
    if (found === 'unreadable') kept.add(nameOf(row));
    else if (found !== 'absent') changes.push(found);
    else changes.push(goneChange(key, askedMs, new Date(row.born_at).toISOString()));
  }
  return advance(database, walk, changes, 'missing', walk.place + changes.length);
}

const nameOf = ({ org_id: orgId, user_id: userId }: MirroredRow) => `${orgId} ${userId}`;

function otherInstance(finding: string): RowhouseError {
  return new RowhouseError('CONFLICT', {
    message: `${finding} Is CLERK_SECRET_KEY of the right instance? If so: npm run clerk:reconcile -- --remove-many`,
  });
}

type MirroredRow = { org_id: string; user_id: string };

type MissingRow = MirroredRow & { born_at: Date; of_all: string; known: string };

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
