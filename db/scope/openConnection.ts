import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg';
import { RowhouseError } from '../../platform/errors/registry.ts';
import { BatchQuery, type BatchResult, type Statement } from './BatchQuery.ts';
import { cancelStatement } from './cancelStatement.ts';
import { noticeOf, type PgNotice } from './notices.ts';
import { cleanStatements } from './settings.ts';

/** A connection of the pool, in the hands of one caller. */
export type ScopeConnection = {
  raw: PoolClient;
  /**
   * Sends statements as one batch; the result is the last one's. One at a time.
   *
   * @throws at once, and before anything is sent, where a value cannot be
   * written or nobody waits for the answer any more.
   */
  run(statements: readonly Statement[], arrayMode?: boolean): Promise<RunResult>;
  /** Whether the connection is gone, or what it would do next is anybody's guess. */
  isLost(): boolean;
  /**
   * Gives the connection back; destroys it when it is lost, or a transaction is open.
   * Where it may not be as clean as it came, which is after an error and in the hands
   * of others, the pool gets it only when it has shown that it is.
   */
  release(outcome: 'ok' | 'doubtful'): void;
};

/** A result with what the server remarked meanwhile. */
export type RunResult = BatchResult & { notices: readonly PgNotice[] };

/** How long a request to cancel may take to show before another is sent. */
const cancelAgainMs = 500;

/** Prepared statements kept per connection; the least recently used goes first. */
const maxPrepared = 100;

/** What is remembered of a connection as long as it lives. */
type Memory = {
  /**
   * By name. Not kept in the order of use: a Map that entries leave and enter with each
   * statement is laid out anew all the time, and V8 keeps the old layouts for long.
   */
  prepared: Map<string, Prepared>;
  /** Batches sent. */
  batches: number;
  /** Of the batch under way. */
  notices: PgNotice[];
  isLost: boolean;
};
type Prepared = { text: string; usedBy: number };
const memories = new WeakMap<PoolClient, Memory>();
const none: readonly PgNotice[] = Object.freeze([]);

/**
 * Takes a connection from the pool.
 *
 * @param signal when it is aborted, the statement under way is canceled, nothing
 * more is sent, and the connection is not used again.
 * @throws RowhouseError `UNAVAILABLE` when there is none in time.
 */
export async function openConnection(pool: Pool, signal?: AbortSignal): Promise<ScopeConnection> {
  assertAwaited(signal);
  const raw = await pool.connect();
  if (signal?.aborted) raw.release();
  assertAwaited(signal);
  const memory = memories.get(raw) ?? remember(raw);
  // Of whoever had the connection before.
  if (memory.notices.length > 0) memory.notices = [];
  let again: NodeJS.Timeout | undefined;
  const cancel = () => {
    cancelStatement(raw);
    // A request that comes before the back-end has begun with the statement is forgotten.
    again = setInterval(() => cancelStatement(raw), cancelAgainMs);
  };
  signal?.addEventListener('abort', cancel, { once: true });

  const send = async (query: BatchQuery): Promise<RunResult> => {
    try {
      raw.query(query as never);
      const result = await query.result;
      return { ...result, notices: memory.notices.length === 0 ? none : memory.notices };
    } catch (error) {
      if (query.isLost || hasOutlived(error)) memory.isLost = true;
      throw error;
    } finally {
      if (memory.notices.length > 0) memory.notices = [];
    }
  };

  return {
    raw,
    run(statements, arrayMode) {
      assertAwaited(signal);
      if (memory.isLost) throw new Error('The connection is lost.');
      const query = new BatchQuery(statements, { arrayMode, types: raw });
      query.forget = makeRoom(memory, statements);
      return send(query);
    },
    isLost: () => memory.isLost,
    release(outcome) {
      signal?.removeEventListener('abort', cancel);
      clearInterval(again);
      if (memory.isLost || signal?.aborted) destroy(raw);
      else if (outcome === 'ok') raw.release(raw.getTransactionStatus() !== 'I');
      else void prove(raw).then((isClean) => (isClean ? raw.release() : destroy(raw)));
    },
  };
}

function assertAwaited(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new RowhouseError('TIMEOUT', { cause: signal.reason });
}

function remember(raw: PoolClient): Memory {
  const memory: Memory = { prepared: new Map(), batches: 0, notices: [], isLost: false };
  memories.set(raw, memory);
  const lose = () => {
    memory.isLost = true;
  };
  raw.on('error', lose).on('end', lose);
  raw.on('notice', (message) => memory.notices.push(noticeOf(message)));
  return memory;
}

/** Marks the statements' names as used, and names those that have to make room. */
function makeRoom(memory: Memory, statements: readonly Statement[]): string[] {
  const { prepared } = memory;
  const forgotten: string[] = [];
  memory.batches += 1;
  for (const { name, text } of statements) {
    if (!name) continue;
    const known = prepared.get(name);
    if (known?.text === text) {
      known.usedBy = memory.batches;
    } else {
      if (known) forgotten.push(name);
      prepared.set(name, { text, usedBy: memory.batches });
    }
  }
  while (prepared.size > maxPrepared) {
    const name = leastUsed(prepared);
    prepared.delete(name);
    forgotten.push(name);
  }
  return forgotten;
}

function leastUsed(prepared: Memory['prepared']): string {
  let name = '';
  let usedBy = Number.POSITIVE_INFINITY;
  for (const [each, { usedBy: by }] of prepared) if (by < usedBy) [name, usedBy] = [each, by];
  return name;
}

/**
 * Whether the connection's prepared statements are not what they were: the tables
 * have changed under them, or somebody dropped them. It would fail again and again.
 */
export function hasOutlived(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false;
  const { code, routine } = error;
  return code === '26000' || (code === '0A000' && routine === 'RevalidateCachedQuery');
}

/** Whether a connection is back at its login role, with no transaction and no settings of a caller. */
async function prove(raw: PoolClient): Promise<boolean> {
  try {
    // Of several statements there are several results, which the types do not know.
    const [first] = (await raw.query(cleanStatements)) as unknown as QueryResult[];
    return first?.rows[0]?.is_clean === true && raw.getTransactionStatus() === 'I';
  } catch {
    return false;
  }
}

/** Without a goodbye: one that nobody hears would keep the place of this connection taken. */
function destroy(raw: PoolClient): void {
  raw.connection.stream.destroy();
  raw.release(true);
}
