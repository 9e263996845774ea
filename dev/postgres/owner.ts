import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { type FileLock, tryLock } from '../fileLock.ts';

/** Who runs, or last ran, the cluster of a directory, and where it answers. */
export type Owner = z.infer<typeof ownerSchema>;

/**
 * Makes this process the one that runs the cluster of `dir`, until the lock is released or the
 * process ends. Throws an error that names the present owner if there is one.
 */
export async function takeOwnership(dir: string): Promise<FileLock> {
  // Half a second of patience for an owner that was killed a moment ago and is not gone yet.
  const deadlineMs = Date.now() + 500;
  for (;;) {
    const lock = tryLock(join(dir, 'owner.lock'));
    if (lock !== undefined) return lock;
    if (Date.now() > deadlineMs) break;
    await setTimeout(50);
  }
  const owner = await readOwner(dir);
  throw new Error(
    owner === null
      ? `Another process is about to run the database in ${dir}. ${wayOut}`
      : `The database in ${dir} is already running: process ${owner.pid} started it at ` +
          `${owner.startedAt}. ${wayOut}`,
  );
}

const wayOut = 'Stop that first, or use another directory with ROWHOUSE_DATA_DIR=….';

/** The present owner as it described itself, else the last one; null before the first start. */
export async function readOwner(dir: string): Promise<Owner | null> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(join(dir, 'owner.json'), 'utf8')));
  } catch {
    return null;
  }
}

/** Tells other processes of ours who and where we are. The caller holds the lock. */
export async function writeOwner(dir: string, owner: Owner): Promise<void> {
  await writeFile(join(dir, 'owner.json'), `${JSON.stringify(owner, null, 2)}\n`, { mode: 0o600 });
}

const ownerSchema = z.object({
  pid: z.int(),
  startedAt: z.iso.datetime(),
  port: z.int(),
  socketDir: z.string(),
});
