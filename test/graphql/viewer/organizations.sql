select
  __organizations__."id" as "0",
  __organizations__."name" as "1",
  array(
    select array[
      __memberships__."role",
      __users__."name",
      to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text)
    ]::text[]
    from "app_public"."memberships" as __memberships__
    left outer join "app_public"."users" as __users__
    on (
    /* WHERE becoming ON */ (
      __users__."id" = __memberships__."user_id"
    ))
    where (
      __memberships__."org_id" = __organizations__."id"
    )
    order by __memberships__."created_at" desc, __memberships__."org_id" desc, __memberships__."user_id" desc
    limit 20
  )::text as "2",
  array(
    select array[
      (count(*))::text
    ]::text[]
    from "app_public"."memberships" as __memberships__
    where (
      __memberships__."org_id" = __organizations__."id"
    )
  )::text as "3"
from "app_public"."organizations" as __organizations__
order by __organizations__."created_at" desc, __organizations__."id" desc
limit 20;
