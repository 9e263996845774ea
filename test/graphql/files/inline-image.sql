select
  __files__."width"::text as "0",
  __files__."height"::text as "1",
  __files__."object_key" as "2",
  __files__."object_version" as "3",
  __files__."file_name" as "4",
  __files__."content_type" as "5"
from "app_public"."files" as __files__
where (
  __files__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000103"
