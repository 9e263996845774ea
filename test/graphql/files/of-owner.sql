select
  __me__."id" as "0",
  array(
    select array[
      __files__."id",
      __files__."status"::text
    ]::text[]
    from "app_public"."files" as __files__
    where (
      __files__."owner_id" = __me__."id"
    )
    order by __files__."created_at" desc, __files__."id" desc
    limit 20
  )::text as "1"
from "app_public"."me"() as __me__;
