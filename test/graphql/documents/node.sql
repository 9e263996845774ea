select
  __documents__."id" as "0",
  __documents__."title" as "1"
from "app_public"."documents" as __documents__
where (
  __documents__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000002"
