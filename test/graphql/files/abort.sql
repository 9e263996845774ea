select app_hidden.abort_upload($1) as is_done
-- $1 = "00000000-0000-7000-8000-000000000102"

select
  __files__."id" as "0",
  __files__."status"::text as "1",
  __files__."error" as "2"
from "app_public"."files" as __files__
where (
  __files__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000102"
