import { constants } from 'node:fs';
import { access, readFile, statfs } from 'node:fs/promises';

/** Where Linux keeps files in memory. */
const memoryDir = '/dev/shm';

/** Room for what our tests hold there at the same time, several times over. */
const leastBytes = 4 * 1024 ** 3;

/**
 * A directory for temporary files in memory, with room for a test run; undefined where this system
 * has none. A database is a thousand small files: made on a disk, they cost ten times as much.
 */
export async function findMemoryDir(): Promise<string | undefined> {
  if (process.availableMemory() < leastBytes || !(await isMounted())) return undefined;
  try {
    await access(memoryDir, constants.R_OK | constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(memoryDir);
    return bavail * bsize >= leastBytes ? memoryDir : undefined;
  } catch {
    return undefined;
  }
}

/** Whether there are files in memory there, and programs among them may run. */
async function isMounted(): Promise<boolean> {
  const mounts = await readFile('/proc/self/mounts', 'utf8').catch(() => '');
  const [, , type, options = ''] =
    mounts
      .split('\n')
      .map((line) => line.split(' '))
      .findLast(([, path]) => path === memoryDir) ?? [];
  return (
    type === 'tmpfs' && !options.split(',').some((option) => ['ro', 'noexec'].includes(option))
  );
}
