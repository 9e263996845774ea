import type { Statement } from './BatchQuery.ts';

/**
 * Every setting of a caller's scope, in the order they are sent. All of them are
 * set each time, empty where absent, so that nothing of an earlier caller on the
 * same connection can show through.
 */
const names = [
  'role',
  'transaction_read_only',
  'jwt.user_id',
  'jwt.org_id',
  'jwt.org_role',
  'jwt.permissions',
  'jwt.first_factor_at',
  'jwt.second_factor_at',
  'jwt.actor_id',
  'app.request_id',
  'app.trace_id',
] as const;

/** The key of settings under which they say until when somebody waits for the answer. */
export const scopeSignal: unique symbol = Symbol('rowhouse.scope.signal');

/** A caller's settings, as a GraphQL context carries them. */
export type ScopeSettings = Record<string, string | undefined> & {
  /** Aborted as soon as nobody waits any more: what runs is canceled, and nothing more is sent. */
  readonly [scopeSignal]?: AbortSignal;
};

/**
 * What bounds each statement of a session, as Postgres's settings. A session of our own
 * has them from its start. Behind a pooler there is none, so they travel with each statement.
 */
export type Limits = Record<(typeof limitNames)[number], string>;

const limitNames = ['statement_timeout', 'idle_in_transaction_session_timeout', 'jit'] as const;

/** A setting that the scope does not know, or a scope without a role. */
export class ScopeError extends Error {
  override readonly name = 'ScopeError';
}

const text = setting(names);
const textWithLimits = setting([...names, ...limitNames]);
const textOfLimits = setting(limitNames);

/**
 * The statement that puts a caller's settings into the transaction it runs in.
 *
 * @throws ScopeError where there is no role, since that would run as the login,
 * or a setting that is not in the list above, since it would be lost.
 * @param limits where the session does not have them.
 */
export function settingsStatement(
  pgSettings: ScopeSettings,
  usePrepared: boolean,
  limits?: Limits,
): Statement {
  for (const name of Object.keys(pgSettings)) {
    if (!names.includes(name as never)) throw new ScopeError(`Unknown setting of a scope: ${name}`);
  }
  if (!pgSettings.role) throw new ScopeError('A scope needs a role.');
  const values = names.map((name) => pgSettings[name] ?? defaultOf(name));
  const name = usePrepared ? 'rowhouse_scope' : undefined;
  if (!limits) return { text, values, name };
  return { text: textWithLimits, values: [...values, ...valuesOf(limits)], name };
}

/** The statement that bounds what the login itself does in the transaction it runs in. */
export function limitsStatement(limits: Limits): Statement {
  return { text: textOfLimits, values: valuesOf(limits) };
}

/** Whether statements of this scope cannot write, so that one may be sent again. */
export function isReadOnly(pgSettings: ScopeSettings | null): boolean {
  return pgSettings?.transaction_read_only === 'on';
}

/**
 * Two statements and more in one text. The first selects `is_clean`: whether a
 * connection is its login again, with no setting of a caller. The others undo what
 * somebody has set for the session, such as a time limit.
 */
export const cleanStatements = `select current_user = session_user and ${names
  .filter((name) => name.includes('.'))
  .map((name) => `coalesce(current_setting('${name}', true), '') = ''`)
  .join(' and ')} as is_clean; reset all; unlisten *; close all`;

function setting(all: readonly string[]): string {
  const place = (name: string) => `$${all.indexOf(name) + 1}`;
  // Who is no longer a member has no organization: the statement fails, and what it goes with.
  const value = (name: string) =>
    name === 'jwt.org_id'
      ? `app_private.admit(${place('jwt.user_id')}, ${place(name)})`
      : place(name);
  return `select ${all.map((name) => `set_config('${name}', ${value(name)}, true)`).join(', ')}`;
}

function valuesOf(limits: Limits): string[] {
  return limitNames.map((name) => limits[name]);
}

function defaultOf(name: (typeof names)[number]): string {
  return name === 'transaction_read_only' ? 'off' : '';
}
