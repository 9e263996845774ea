import { DatabaseError, type Pool, type PoolClient } from 'pg';
import type { PgClientResult } from 'postgraphile/@dataplan/pg';
import { BatchQuery, type BatchResult, type Statement } from './BatchQuery.ts';

/** A connection of the pool, in the hands of one caller. */
export type ScopeConnection = {
  raw: PoolClient;
  /** Sends statements as one batch; the result is the last one's. */
  run(statements: readonly Statement[], arrayMode?: boolean): Promise<RunResult>;
  /** Whether this error, which `run` threw, means that the connection is gone. */
  isLostBy(error: unknown): boolean;
  /**
   * Gives the connection back; destroys it unless it is known to be as clean as
   * it came. After an error the pool gets it only when it has shown that it is.
   */
  release(outcome: 'ok' | 'failed' | 'lost'): void;
};

type PgNotice = NonNullable<PgClientResult<unknown>['notices']>[number];

/** A result with what the server remarked meanwhile. */
export type RunResult = BatchResult & { notices: readonly PgNotice[] };

/** Prepared statements kept per connection; the least recently used goes first. */
const maxPrepared = 100;

/** What is remembered of a connection as long as it lives. */
type Memory = { prepared: Set<string>; notices: PgNotice[]; isBroken: boolean };
const memories = new WeakMap<PoolClient, Memory>();
const none: readonly PgNotice[] = Object.freeze([]);

/** Takes a connection from the pool. @throws RowhouseError `UNAVAILABLE` when there is none in time. */
export async function openConnection(pool: Pool): Promise<ScopeConnection> {
  const raw = await pool.connect();
  const memory = memories.get(raw) ?? remember(raw);

  return {
    raw,
    async run(statements, arrayMode) {
      const query = new BatchQuery(statements, { arrayMode, forget: makeRoom(memory, statements) });
      raw.query(query as never);
      const result = await query.result;
      if (memory.notices.length === 0) return { ...result, notices: none };
      return { ...result, notices: memory.notices.splice(0) };
    },
    isLostBy(error) {
      return memory.isBroken || (error instanceof DatabaseError && error.severity !== 'ERROR');
    },
    release(outcome) {
      if (outcome === 'lost') raw.release(true);
      else if (outcome === 'ok') raw.release(raw.getTransactionStatus() !== 'I');
      else void prove(raw).then((isClean) => raw.release(!isClean));
    },
  };
}

function remember(raw: PoolClient): Memory {
  const memory: Memory = { prepared: new Set(), notices: [], isBroken: false };
  memories.set(raw, memory);
  const broken = () => {
    memory.isBroken = true;
  };
  raw.on('error', broken).on('end', broken);
  raw.on('notice', (message) => {
    memory.notices.push({ ...message, message: message.message ?? '' } as unknown as PgNotice);
  });
  return memory;
}

/** Marks the statements' names as used, and names those that have to make room. */
function makeRoom({ prepared }: Memory, statements: readonly Statement[]): string[] {
  const forgotten: string[] = [];
  for (const { name } of statements) {
    if (!name) continue;
    prepared.delete(name);
    prepared.add(name);
  }
  for (const name of prepared) {
    if (prepared.size <= maxPrepared) break;
    prepared.delete(name);
    forgotten.push(name);
  }
  return forgotten;
}

/** Whether a connection is back at its login role, with no transaction and no settings of a caller. */
async function prove(raw: PoolClient): Promise<boolean> {
  try {
    const { rows } = await raw.query(
      `select current_user = session_user
         and coalesce(current_setting('jwt.user_id', true), '') = ''
         and coalesce(current_setting('jwt.org_id', true), '') = '' as is_clean`,
    );
    return rows[0]?.is_clean === true && raw.getTransactionStatus() === 'I';
  } catch {
    return false;
  }
}
