select
  __documents__."title" as "0",
  __users__."name" as "1",
  __users__."id" as "2",
  array(
    select array[
      __documents_2."title"
    ]::text[]
    from "app_public"."documents" as __documents_2
    where (
      __documents_2."owner_id" = __users__."id"
    )
    order by __documents_2."created_at" desc, __documents_2."id" desc
    limit 2
  )::text as "3"
from "app_public"."documents" as __documents__
left outer join "app_public"."users" as __users__
on (
/* WHERE becoming ON */ (
  __users__."id" = __documents__."owner_id"
))
order by __documents__."created_at" desc, __documents__."id" desc
limit 3;
