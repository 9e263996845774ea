import type { Logger } from 'pino';
import { assertLeastPrivilege } from '../db/assertLeastPrivilege.ts';
import { appliedMigration } from '../db/migrationLevel.ts';
import { keepTrying } from '../platform/keepTrying.ts';
import type { Pseudonym } from '../platform/logging.ts';
import type { Observe } from '../platform/observer.ts';
import { type Heart, openHeart } from './heart.ts';
import { openSession, type Session } from './session.ts';
import type { Tasks } from './task.ts';

/** What runs the queue, and who hears of it. */
export type RunnerOptions = {
  /** The worker's login. */
  connectionString: string;
  /** The most connections for jobs; at least two more than jobs at once. */
  poolSize: number;
  tasks: Tasks;
  /** Jobs by the clock, in graphile-worker's format. */
  crontab: string;
  /** Jobs at once. */
  concurrency: number;
  /** How long running jobs may take to end when it is closed. */
  graceMs: number;
  /** How long a task may take that does not say so itself. */
  taskTimeoutMs: number;
  heartbeatMs: number;
  /** After so long without a heartbeat a worker is dead. */
  deadAfterMs: number;
  /** The newest migration this version was written for. */
  expectedMigration: number;
  log: Logger;
  observe: Observe;
  pseudonym: Pseudonym;
};

/** The jobs of this process. */
export type JobRunner = {
  /** Resolves once jobs are taken from the queue. */
  ready: Promise<void>;
  /** Asks the database, for readiness. */
  heart: Pick<Heart, 'query' | 'isBeating'>;
  /**
   * Takes no more jobs and waits for those that run; they are asked to end after
   * 5 s, and what runs on after the grace period goes back to the queue.
   */
  close(): Promise<void>;
};

/**
 * Works off the queue, as soon as the database is there. A session of it ends when
 * its worker was declared dead, or by an error of its own, and is followed by
 * another under a new name.
 */
export function openRunner(options: RunnerOptions): JobRunner {
  const { log } = options;
  const closing = new AbortController();
  const ready = Promise.withResolvers<void>();
  let session: Session | undefined;
  const heart = openHeart(options);
  const onFailure = (err: unknown, againInMs: number) => log.error({ err, againInMs }, 'not ready');

  async function openNext(): Promise<Session> {
    const applied = await appliedMigration(heart);
    if (applied < options.expectedMigration) {
      throw new Error(
        `The database is at migration ${applied}, and this version needs ${options.expectedMigration}: run npm run migrate.`,
      );
    }
    await assertLeastPrivilege(heart, 'its functions');
    return openSession(options, heart);
  }

  async function runUntilClosed(): Promise<void> {
    while (!closing.signal.aborted) {
      session = await keepTrying(openNext, { signal: closing.signal, onFailure });
      if (!session) return;
      ready.resolve();
      // Asked to close while it was starting.
      if (closing.signal.aborted) await session.close();
      await session.ended;
    }
  }
  const ended = runUntilClosed();

  return {
    ready: ready.promise,
    heart,
    async close() {
      closing.abort();
      await session?.close();
      await ended;
      await heart.close();
    },
  };
}
