/**
 * Reads the custom permissions of a Clerk v2 session token, as Clerk's own SDK does.
 *
 * `fea` lists features (`o:docs,u:beta`), `per` permission names (`manage,read`), and `fpm` holds
 * one decimal mask per organization-scoped feature, in the order of those features alone: bit j,
 * counted from the least significant, grants `per[j]`. A missing or unreadable mask grants nothing.
 *
 * @returns distinct permissions such as `org:docs:manage`, in token order.
 */
export function decodePermissions(encoded: {
  fea: string | null | undefined;
  per: string | null | undefined;
  fpm: string | null | undefined;
}): string[] {
  if (!encoded.fea || !encoded.per || !encoded.fpm) return [];
  const names = encoded.per.split(',').map((name) => name.trim());
  const masks = encoded.fpm.split(',').map((mask) => mask.trim());
  const granted = organizationFeatures(encoded.fea).flatMap((feature, index) => {
    const mask = readMask(masks[index]);
    return names
      .filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n)
      .map((name) => `org:${feature}:${name}`);
  });
  return onlyWellFormed(granted);
}

/**
 * Keeps the distinct entries of the form `org:<feature>:<permission>`. Anything else grants nothing,
 * so that no entry can pass for several where permissions are later joined into one text.
 */
export function onlyWellFormed(permissions: readonly string[]): string[] {
  return [...new Set(permissions)].filter((permission) => permissionPattern.test(permission));
}

/** A custom permission of an organization: `org:<feature>:<permission>`. */
export const permissionPattern = /^org:[A-Za-z0-9_.-]{1,100}:[A-Za-z0-9_.-]{1,100}$/;

/** Names of the features that count for `fpm`: scoped to the organization (`o`), or to both. */
function organizationFeatures(fea: string): string[] {
  return fea
    .split(',')
    .map((feature) => feature.trim().split(':'))
    .filter(([scope]) => scope === 'o' || scope === 'ou' || scope === 'uo')
    .map(([, name]) => name ?? '');
}

/** Masks pass 2^53 once an instance has more than 53 permissions: a number would lose bits. */
function readMask(decimal: string | undefined): bigint {
  return decimal !== undefined && /^\d+$/.test(decimal) ? BigInt(decimal) : 0n;
}
