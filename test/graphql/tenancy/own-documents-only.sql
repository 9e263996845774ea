select
  __documents__."title" as "0"
from "app_public"."documents" as __documents__
where (
  __documents__."owner_id" = (select app_hidden.current_user_id())
)
order by __documents__."created_at" desc, __documents__."id" desc
limit 20;

select
  __search_documents__."title" as "0"
from "app_public"."search_documents"($1::"text") as __search_documents__
where (
  __search_documents__."owner_id" = (select app_hidden.current_user_id())
)
order by "app_hidden"."document_rank"(__search_documents__, $2::"text") desc, __search_documents__."created_at" desc, __search_documents__."id" desc
limit 20;
-- $1 = "plan"
-- $2 = "plan"

select
  __me__."id" as "0",
  array(
    select array[
      __documents__."title"
    ]::text[]
    from "app_public"."documents" as __documents__
    where (
      __documents__."owner_id" = __me__."id"
    )
    order by __documents__."created_at" desc, __documents__."id" desc
    limit 20
  )::text as "1"
from "app_public"."me"() as __me__;
