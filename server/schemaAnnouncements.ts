import { on } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { escapeIdentifier, type Notification, type Pool, type PoolClient } from 'pg';
import { appliedMigration, expectedMigration } from '../db/migrationLevel.ts';

/** Hears of changes of the schema, for PostGraphile's watch mode. */
export type SchemaAnnouncements = {
  /** Announcements in a topic, until `release`. Each subscription takes a connection of the pool. */
  subscribe(topic: string): AsyncGenerator<string, undefined>;
  /** Ends the subscriptions that somebody waits on. After a start that failed there will be another. */
  release(): void;
};

/** How long it waits before it listens again. */
const againMs = 250;

/**
 * Listens, and goes on after its connection broke, as when `npm run db:reset` drops the
 * database. What was announced meanwhile is lost, so it announces that itself, once it listens
 * again and there is a schema: PostGraphile's own subscriber does so before.
 */
export function makeSchemaAnnouncements(pool: Pool): SchemaAnnouncements {
  const expected = expectedMigration();
  let closing = new AbortController();

  async function* listen(topic: string, signal: AbortSignal): AsyncGenerator<string, undefined> {
    const client = await pool.connect();
    try {
      const heard = on(client, 'notification', { signal, close: ['end'] });
      await client.query(`listen ${escapeIdentifier(topic)}`);
      // Else whoever migrates it will announce it, and is heard.
      if (await isMigrated(client, expected)) yield '';
      for await (const [{ payload = '' }] of heard as AsyncIterable<[Notification]>) yield payload;
    } finally {
      client.release(true);
    }
  }

  return {
    async *subscribe(topic) {
      const { signal } = closing;
      for (let isFirst = true; !signal.aborted; isFirst = false) {
        try {
          for await (const payload of listen(topic, signal)) if (payload || !isFirst) yield payload;
        } catch {
          // Whatever broke it, it is tried again.
        }
        await sleep(againMs, undefined, { signal }).catch(() => {});
      }
      return undefined;
    },
    release() {
      closing.abort();
      closing = new AbortController();
    },
  };
}

async function isMigrated(client: PoolClient, expected: number): Promise<boolean> {
  // It fails where there is nothing at all.
  const applied = await appliedMigration(client).catch(() => 0);
  return applied >= expected;
}
