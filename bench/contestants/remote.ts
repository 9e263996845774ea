import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

/**
 * Preloaded into every contestant: tells the bench, when asked, what the process
 * has used, and profiles it. It does nothing until then.
 */

/** What the bench may ask of a contestant. */
export type Question =
  | { ask: 'usage' }
  | { ask: 'startProfile' }
  | { ask: 'stopProfile'; file: string };
/** The answer to `usage`; other questions are answered when they are done. */
export type Usage = { cpuMs: number; rssBytes: number };

let session: Session | undefined;

process.on('message', async (question: Question) => {
  switch (question.ask) {
    case 'usage': {
      const { user, system } = process.cpuUsage();
      const usage: Usage = { cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() };
      process.send?.(usage);
      return;
    }
    case 'startProfile': {
      session = new Session();
      session.connect();
      await session.post('Profiler.enable');
      await session.post('Profiler.setSamplingInterval', { interval: 200 });
      await session.post('Profiler.start');
      process.send?.('started');
      return;
    }
    case 'stopProfile': {
      const stopped = await session?.post('Profiler.stop');
      session?.disconnect();
      writeFileSync(question.file, JSON.stringify(stopped?.profile));
      process.send?.('stopped');
      return;
    }
    default: {
      const never: never = question;
      return never;
    }
  }
});
