/** What a verified token says, in this house's words. Frozen. */
export type Claims = {
  /** Clerk's user id. */
  userId: string;
  /** Clerk's session id. */
  sessionId: string | null;
  /** The active organization; without one, the user's id, which is the id of the personal space. */
  orgId: string;
  /** Whether there is no active organization. */
  isPersonal: boolean;
  /** Role in the organization, without Clerk's `org:` prefix; '' in the personal space. */
  orgRole: string;
  orgSlug: string | null;
  /** Custom permissions such as `org:docs:manage`. */
  permissions: readonly string[];
  email: string | null;
  name: string | null;
  /** Who acts in the user's place, when someone does (impersonation). */
  actorId: string | null;
  /** When the user last gave a first factor (a password, say), in milliseconds since the epoch. */
  firstFactorAtMs: number | null;
  /** The same for a second factor; null for who has none. */
  secondFactorAtMs: number | null;
  /** When the token expires, in milliseconds since the epoch. */
  expiresAtMs: number;
};

/** What Postgres is told of a caller. */
export type Caller = Pick<Claims, 'userId' | 'orgId' | 'orgRole' | 'permissions'> &
  Partial<Pick<Claims, 'actorId' | 'firstFactorAtMs' | 'secondFactorAtMs'>>;

/**
 * The settings of a transaction that acts for a caller: always the same set
 * of names, empty where a claim is absent, so that nothing of an earlier request
 * on the same connection can show through.
 *
 * @param access `read` for what must not write: Postgres refuses it, whatever a function tries.
 * @param traceId of the trace the request belongs to, 32 hex digits; '' for none.
 */
export function pgSettings(
  caller: Caller,
  requestId: string,
  access: 'read' | 'write' = 'write',
  traceId = '',
): Record<string, string> {
  return {
    role: 'app_user',
    transaction_read_only: access === 'read' ? 'on' : 'off',
    'jwt.user_id': caller.userId,
    'jwt.org_id': caller.orgId,
    'jwt.org_role': caller.orgRole,
    'jwt.permissions': caller.permissions.join(','),
    'jwt.first_factor_at': seconds(caller.firstFactorAtMs),
    'jwt.second_factor_at': seconds(caller.secondFactorAtMs),
    'jwt.actor_id': caller.actorId ?? '',
    'app.request_id': requestId,
    'app.trace_id': traceId,
  };
}

/** Whole seconds since the epoch, as SQL reads them. */
function seconds(timeMs: number | null | undefined): string {
  return typeof timeMs === 'number' ? String(Math.floor(timeMs / 1000)) : '';
}
