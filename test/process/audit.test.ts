import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { killUnderMutations } from '../faults/auditKills.ts';
import { openTestDatabase } from '../support/database.ts';

/** The short form; the long one is in test/faults. */
test('audit events equal acknowledged changes after the API was killed twice under load', async () => {
  const database = await openTestDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-audit-'));
  try {
    const ledgerFile = join(dir, 'ledger.jsonl');
    const found = await killUnderMutations({ database, ledgerFile, kills: 2, callers: 6 });
    expect(found.wrong).toEqual([]);
    expect(found.acknowledged).toBeGreaterThan(10);
  } finally {
    await database.close();
    await rm(dir, { recursive: true });
  }
}, 120_000);
