import { accessSync, constants } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** A held lock. It ends with `release()` (which may be repeated) or with the process. */
export type FileLock = { release(): void };

/**
 * Takes the lock on the file at `path` (made if missing), or returns undefined while another
 * process, or another part of this one, holds it.
 *
 * The lock is SQLite's, so in the end the kernel's: it vanishes with its process however that dies
 * and is seen across containers, which a file holding a pid can only guess at. Keep the returned
 * object referenced, and never open the file otherwise: closing any descriptor of it would drop
 * the lock.
 */
export function tryLock(path: string): FileLock | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // SQLite would open somebody else's file for reading only, and lock nothing.
    accessSync(path, constants.W_OK);
    database.exec('pragma busy_timeout = 0; pragma journal_mode = memory; begin exclusive');
  } catch (error) {
    database?.close();
    if (isBusy(error)) return undefined;
    throw new Error(`Cannot lock ${path}: another user may own it, or its directory.`, {
      cause: error,
    });
  }
  const held = database;
  return {
    release() {
      if (held.isOpen) held.close();
    },
  };
}

const sqliteBusy = 5;

function isBusy(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'errcode' in error &&
    error.errcode === sqliteBusy
  );
}
