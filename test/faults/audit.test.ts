import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openTestDatabase } from '../support/database.ts';
import { killUnderMutations } from './auditKills.ts';

const kills = Number(process.env.AUDIT_KILLS ?? 50);

test(`audit events equal acknowledged changes after ${kills} kills of the API under load`, async () => {
  const database = await openTestDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'rowhouse-audit-'));
  try {
    const found = await killUnderMutations({
      database,
      ledgerFile: join(dir, 'ledger.jsonl'),
      kills,
      callers: 12,
    });
    process.stdout.write(`${JSON.stringify(found)}\n`);
    expect(found.wrong).toEqual([]);
    expect(found.acknowledged).toBeGreaterThan(kills);
    expect(found.unanswered).toBeGreaterThan(0);
  } finally {
    await database.close();
    await rm(dir, { recursive: true });
  }
}, 600_000);
