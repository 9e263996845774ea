select
  __documents__."title" as "0",
  array(
    select array[
      __files__."id",
      __files__."file_name",
      __users__."id"
    ]::text[]
    from "app_public"."files" as __files__
    left outer join "app_public"."users" as __users__
    on (
    /* WHERE becoming ON */ (
      __users__."id" = __files__."owner_id"
    ))
    where (
      __files__."document_id" = __documents__."id"
    )
    order by __files__."created_at" desc, __files__."id" desc
    limit 20
  )::text as "1"
from "app_public"."documents" as __documents__
where (
  __documents__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000001"
