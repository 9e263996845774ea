select
  __generations__."text" as "0",
  __generations__."id" as "1"
from "app_public"."generations" as __generations__
where (
  __generations__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000101"

select
  __generations__."id" as "0"
from "app_public"."generations" as __generations__
where (
  __generations__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000101"
