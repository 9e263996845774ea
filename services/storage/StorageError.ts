/**
 * What the store said no to. `missing`: there is no such object or upload; `changed`: a
 * condition of the call does not hold, because somebody else was there; `refused`: it will
 * not do this as long as nothing else changes, such as permissions. That it is away is a
 * RowhouseError `UNAVAILABLE`.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly kind: 'missing' | 'changed' | 'refused';
  /** As the store names it, such as `InvalidPart`. */
  readonly code: string;

  constructor(kind: StorageError['kind'], cause: Error) {
    super(`The store says: ${kind}.`, { cause });
    this.kind = kind;
    this.code = cause.name;
  }
}

/** Whether the store said that there is no such thing. */
export function isMissing(error: unknown): boolean {
  return error instanceof StorageError && error.kind === 'missing';
}

/** Whether the store will not do it, as long as nothing else changes. */
export function isRefused(error: unknown): boolean {
  return error instanceof StorageError && error.kind === 'refused';
}

/** Whether parts cannot be joined, ever: they are others than were named, or too small. */
export function arePartsWrong(error: unknown): boolean {
  return error instanceof StorageError && partErrors.has(error.code);
}

const partErrors = new Set(['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall']);
