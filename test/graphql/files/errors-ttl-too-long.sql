select
  __files__."object_key" as "0",
  __files__."object_version" as "1",
  __files__."file_name" as "2",
  __files__."content_type" as "3"
from "app_public"."files" as __files__
where (
  __files__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000101"
