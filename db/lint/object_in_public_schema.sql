-- Title: Nothing of ours is in the schema public
-- Level: warning
-- Reason: It is on everybody's search_path, and tools and extensions put their things there.
-- Remedy: Move it. Where --schemas names public, this rule finds nothing.

/* Bad: public.spoons
reset role;
create table public.spoons (id uuid primary key);
*/

/* Good:
create table app_private.spoons (id uuid primary key);
*/

select o.object, 'It is in the schema public.' as detail, null as fix
from (
  select 'pg_class'::regclass as class, c.oid, c.oid::regclass::text as object from pg_class c
  where c.relnamespace = to_regnamespace('public') and c.relkind in ('r', 'p', 'v', 'm', 'f')
  union all
  select 'pg_proc'::regclass, p.oid, p.oid::regprocedure::text from pg_proc p where p.pronamespace = to_regnamespace('public')
) o
where 'public' <> all (select unnest(named_schemas) from option)
  and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
