-- What the rules in db/lint read: the catalogue, cut to the schemas that are linted.
-- A rule sees each of these as a table. What belongs to an extension is left out.
-- The parameters are the options of db/lint.ts; search_path is pg_catalog.

option as (
  select $1::text[] as schemas, $2::text[] as exposed_schemas, $3::text[] as private_schemas,
    $4::text as tenant_column, $5::text[] as request_roles, $6::text[] as login_roles,
    -- What schemas were asked for by name, where any were; `schemas` are those that are looked at.
    $7::text[] as named_schemas
),

linted_schema as (
  select n.oid, n.nspname as schema, n.nspowner, n.nspacl,
    n.nspname = any (o.exposed_schemas) as is_exposed, n.nspname = any (o.private_schemas) as is_private
  from pg_namespace n, option o where n.nspname = any (o.schemas)
),

-- The roles that requests run as.
request_role as (
  select r.oid, r.rolname from pg_roles r, option o where r.rolname = any (o.request_roles)
),

-- Whose rights a request has: those of its roles, of the roles they are members of, and everybody's.
request_grantee as (
  with recursive reached as (
    select oid from request_role
    union
    select m.roleid from pg_auth_members m join reached r on r.oid = m.member
  )
  select oid, oid::regrole::text as name from reached
  union all
  select 0, 'public'
),

relation as (
  select c.oid, c.oid::regclass::text as name, c.relname, c.relkind, c.relowner, c.relacl, c.reloptions,
    c.relrowsecurity, c.relforcerowsecurity, c.relispartition, s.schema, s.is_exposed, s.is_private
  from pg_class c join linted_schema s on s.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
),

-- Tables, with the number of the tenant column where there is one.
linted_table as (
  select r.*, a.attnum as tenant, a.attnotnull as tenant_is_required
  from relation r
  left join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    and a.attname = (select tenant_column from option)
  where r.relkind in ('r', 'p')
),

linted_column as (
  select r.oid as table_oid, r.name || '.' || quote_ident(a.attname) as name, r.name as table_name,
    quote_ident(a.attname) as column_name, a.attnum, a.atttypid, a.atttypmod, a.attidentity, a.attacl,
    r.relkind, r.relispartition, r.is_exposed, r.is_private,
    pg_get_expr(d.adbin, d.adrelid) as default_text
  from relation r join pg_attribute a on a.attrelid = r.oid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated = ''
  where r.relkind <> 'S' and a.attnum > 0 and not a.attisdropped
),

-- What requests may do with a whole relation, and with single columns.
request_grant as (
  select r.oid, a.privilege_type as privilege, g.name as grantee
  from relation r, aclexplode(r.relacl) a join request_grantee g on g.oid = a.grantee
),
request_column_grant as (
  select c.table_oid, c.attnum, c.name, c.table_name, c.column_name, a.privilege_type as privilege, g.name as grantee
  from linted_column c, aclexplode(c.attacl) a join request_grantee g on g.oid = a.grantee
),

-- Tables whose rows row-level security has to guard: what is exposed, what holds tenants' rows,
-- and whatever else a request may touch.
guarded_table as (
  select t.* from linted_table t
  where t.is_exposed or t.tenant is not null
    or exists (select from request_grant g where g.oid = t.oid)
    or exists (select from request_column_grant g where g.table_oid = t.oid)
),

linted_policy as (
  select p.oid, t.name || '.' || quote_ident(p.polname) as name, quote_ident(p.polname) as policy_name,
    p.polrelid, t.name as table_name, t.relname, t.relowner, t.tenant, p.polcmd, p.polpermissive, p.polroles,
    p.polqual, p.polwithcheck,
    regexp_replace(coalesce(pg_get_expr(p.polqual, p.polrelid), ''), '\s+', ' ', 'g') as qual,
    regexp_replace(coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''), '\s+', ' ', 'g') as with_check,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end as command
  from pg_policy p join linted_table t on t.oid = p.polrelid
),

-- Tables whose visible rows are all of one tenant: a restrictive policy for requests says
-- that the tenant column equals something, whatever else is allowed.
pinned_table as (
  select t.* from linted_table t
  where t.tenant is not null and exists (
    select from linted_policy p, option o
    where p.polrelid = t.oid and not p.polpermissive and p.polcmd = '*'
      and (0 = any (p.polroles) or not exists (select from request_role r where r.oid <> all (p.polroles)))
      and starts_with(p.qual, '(' || quote_ident(o.tenant_column) || ' = ') and p.qual !~ ' OR '
      and (p.with_check = '' or p.with_check = p.qual)
  )
),

linted_index as (
  select i.indexrelid, i.indrelid, t.name as table_name, t.tenant, t.is_exposed,
    quote_ident(t.schema) || '.' || quote_ident(c.relname) as name,
    c.relam, i.indisunique, i.indisprimary, i.indisexclusion, i.indisvalid, i.indpred, i.indexprs, i.indnkeyatts,
    -- Slices count from 1, the vectors they are cut from from 0.
    (i.indkey::int2[])[0:i.indnkeyatts - 1] as keys, (i.indclass::oid[])[0:i.indnkeyatts - 1] as classes,
    (i.indcollation::oid[])[0:i.indnkeyatts - 1] as collations, (i.indoption::int2[])[0:i.indnkeyatts - 1] as options,
    pg_get_indexdef(i.indexrelid) as definition
  from pg_index i join pg_class c on c.oid = i.indexrelid join linted_table t on t.oid = i.indrelid
),

-- Functions and procedures. `body` is without comments; `code` without text in quotes as well.
linted_function as (
  select f.*, regexp_replace(f.body, '''[^'']*''', '''''', 'g') as code
  from (
    select p.oid, p.oid::regprocedure::text as name, p.proname, s.schema, p.prosecdef, p.proconfig, p.proowner,
      p.proacl, p.provolatile, p.prorettype, p.prokind, l.lanname, p.prosqlbody is not null as is_bound,
      s.is_exposed, s.is_private,
      case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
      regexp_replace(
        regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '--[^\n]*', '', 'g'),
        '/\*.*?\*/', ' ', 'g') as body
    from pg_proc p join linted_schema s on s.oid = p.pronamespace join pg_language l on l.oid = p.prolang
    where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  ) f
),

-- What requests may execute.
request_function as (
  select distinct f.* from linted_function f
  where exists (
    select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    join request_grantee g on g.oid = a.grantee where a.privilege_type = 'EXECUTE'
  )
),

-- Which function calls which, as far as bodies say: a name before a bracket.
function_call as (
  select caller.oid as caller, callee.oid as callee
  from linted_function caller join linted_function callee
    on callee.oid <> caller.oid and strpos(caller.body, callee.proname) > 0
    and caller.body ~ ('(?:^|[^\w.]|\m' || callee.schema || '"?\.)"?' || regexp_replace(callee.proname, '\W', '\\\&', 'g') || '"?\s*\(')
),

-- Functions that say who asks: they read settings.
accessor as (
  select f.* from linted_function f where f.code ~ '\mcurrent_setting\s*\(' and f.provolatile <> 'v'
),

linted_type as (
  select t.oid, t.oid::regtype::text as name, t.typtype, t.typrelid, s.is_exposed,
    -- Of a domain.
    t.typbasetype as base_type, format_type(t.typbasetype, t.typtypmod) as base_name
  from pg_type t join linted_schema s on s.oid = t.typnamespace
  where (t.typtype in ('e', 'd') or t.typtype = 'c' and exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
    and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
)
