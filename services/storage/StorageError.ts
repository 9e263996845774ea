/**
 * What the store said no to. `missing`: there is no such object or upload; `changed`: a
 * condition of the call does not hold, because somebody else was there; `refused`: it will
 * not do this, however often it is asked. That it is away is a RowhouseError `UNAVAILABLE`.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly kind: 'missing' | 'changed' | 'refused';

  constructor(kind: StorageError['kind'], cause: unknown) {
    super(`The store says: ${kind}.`, { cause });
    this.kind = kind;
  }
}

/** Whether the store said that there is no such thing. */
export function isMissing(error: unknown): boolean {
  return error instanceof StorageError && error.kind === 'missing';
}
