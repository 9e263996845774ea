/**
 * What every table of the model keeps to beside the rules of the catalogue lint (`db/lint`): how
 * this house names things and keeps times. Each is a claim, a query that lists what breaks it, and
 * a change that would: a test that cannot fail proves nothing.
 */
export type Convention = {
  claim: string;
  /** Lists offenders in a column of that name. */
  offenders: string;
  /** DDL that must make an offender appear. */
  breach: string;
};

/** Tables of app_public. */
const tables = `
  (select c.oid, c.relname from pg_class c
   where c.relnamespace = 'app_public'::regnamespace and c.relkind in ('r', 'p')) as t`;

export const conventions: Convention[] = [
  {
    claim:
      'every table whose rows change says when they were made and changed, and keeps that itself',
    offenders: `
      select relname as offender from ${tables}
      where relname <> 'audit_events' and ((select count(*) from pg_attribute where attrelid = t.oid and attnotnull
          and attname in ('created_at', 'updated_at') and atttypid = 'timestamptz'::regtype) < 2
        or not exists (select from pg_trigger where tgrelid = t.oid
          and tgfoid = 'app_private.tg__touch'::regproc and tgtype & 19 = 19 and tgenabled = 'O'))`,
    breach: 'drop trigger _100_touch on app_public.users',
  },
  {
    claim: 'every constraint and index is named after its table',
    offenders: String.raw`
      select conname as offender from pg_constraint
      where connamespace = 'app_public'::regnamespace
        and not (conname like replace(conrelid::regclass::text, 'app_public.', '') || '\_%'
          and conname ~ '_(pkey|key|fkey|check|excl|not_null)$')
      union all
      select c.relname from pg_index join pg_class c on c.oid = indexrelid
      where c.relnamespace = 'app_public'::regnamespace
        and not (c.relname like replace(indrelid::regclass::text, 'app_public.', '') || '\_%'
          and c.relname ~ '_(pkey|key|idx|excl)$')`,
    breach: 'create index by_time on app_public.documents (org_id, updated_at)',
  },
  {
    claim: 'a row is of the organization and of the person who adds it, by default',
    offenders: `
      select relname || '.' || attname as offender
      from ${tables} join pg_attribute a on attrelid = t.oid and attnum > 0 and attnotnull
        left join pg_attrdef d on adrelid = t.oid and adnum = attnum
      where relname <> 'memberships' and attname in ('org_id', 'owner_id', 'user_id')
        and coalesce(pg_get_expr(adbin, adrelid), '') <> case attname
          when 'org_id' then 'app_hidden.current_org_id()' else 'app_hidden.current_user_id()' end`,
    breach: 'alter table app_public.documents alter owner_id drop default',
  },
];
