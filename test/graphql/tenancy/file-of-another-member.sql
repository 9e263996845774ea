select
  __files__."id" as "0"
from "app_public"."files" as __files__
where (
  __files__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000101"
