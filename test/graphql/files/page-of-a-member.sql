select
  __files__."id" as "0",
  __files__."file_name" as "1",
  __files__."status"::text as "2",
  __files__."error" as "3"
from "app_public"."files" as __files__
order by __files__."created_at" desc, __files__."id" desc
limit 4;
