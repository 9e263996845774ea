import type { Storage } from '../../services/storage/openStorage.ts';

/**
 * Whether there is such an object after all. To the head of an object, a bucket that is gone,
 * or whoever answers in place of the store, says no more than that there is none; a list tells.
 */
export async function isListed(
  storage: Pick<Storage, 'list'>,
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const page of storage.list(key, { signal })) {
    if (page.some((listed) => listed.key === key)) return true;
  }
  return false;
}
