import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { projectRoot } from '../../platform/config/settings.ts';
import { signIn } from '../support/api.ts';
import { openTestDatabase } from '../support/database.ts';
import { memoryOf } from '../support/memory.ts';
import { startServer, urlOf } from '../support/program.ts';
import { sendGraphql } from '../support/send.ts';

/** Node's flags of `npm run serve`. */
function flagsOfServe(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  return scripts.serve.split(' ').filter((word: string) => word.startsWith('--'));
}

/** Of forty lists each; a plan takes 3 MB. */
const operations = 120;

// The kernel says what a process takes only where it has /proc.
(existsSync('/proc/self/status') ? test : test.skip)(
  'the API does not grow with each operation it has never seen',
  async () => {
    const database = await openTestDatabase();
    const server = startServer(database.apiUrl, {}, flagsOfServe());
    try {
      const token = await signIn({ user: 'user_ann', org: 'org_acme' });
      const url = await urlOf(server);
      await server.line(({ msg }) => msg === 'ready');
      const lists = Array.from(
        { length: 40 },
        (_, i) => `a${i}: documents(first: 2) { edges { cursor node { id title owner { id } } } }`,
      );
      for (let i = 0; i < operations; i++) {
        const answer = await sendGraphql(url, token, {
          query: `query Q${i} { ${lists.join(' ')} }`,
        });
        expect(JSON.parse(answer.text).errors).toBeUndefined();
      }
      // With room on both sides: some 370 MB, garbage included, and far more where nothing is let go of.
      expect(memoryOf(server).now).toBeLessThan(500);
    } finally {
      await server.close();
      await database.close();
    }
  },
  120_000,
);
