import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type FileLock, tryLock } from '../fileLock.ts';
import { type Account, makePrivateTempDir } from './account.ts';
import { type OnProgress, stopLeftover } from './leftover.ts';

const prefix = 'rowhouse-ephemeral-';
const lockName = 'owner.lock';

/** A home for an ephemeral cluster, locked for as long as this process lives. */
export async function makeEphemeralHome(
  account: Account,
  onProgress: OnProgress,
): Promise<{ home: string; lock: FileLock }> {
  const home = await makePrivateTempDir(account, prefix);
  const lock = tryLock(join(home, lockName));
  if (lock === undefined) throw new Error(`Somebody else locked the new directory ${home}.`);
  await removeAbandoned(home, onProgress);
  return { home, lock };
}

/**
 * Removes the neighbours of `home` that nobody holds any more. The guard does that, so this finds
 * something only after a kill that took owner and guard at once.
 */
async function removeAbandoned(home: string, onProgress: OnProgress): Promise<void> {
  const { uid } = await stat(home);
  for (const name of await readdir(dirname(home))) {
    const other = join(dirname(home), name);
    if (!name.startsWith(prefix) || name === basename(home)) continue;
    const found = await stat(other).catch(() => null);
    // A minute is more than a neighbour needs from making its directory to locking it.
    if (found === null || found.uid !== uid || Date.now() - found.mtimeMs < 60_000) continue;
    const lock = tryLock(join(other, lockName));
    if (lock === undefined) continue;
    await stopLeftover(join(other, 'data'), onProgress);
    await rm(other, { recursive: true, force: true, maxRetries: 20 });
    lock.release();
  }
}
