select
  __documents__."id" as "0",
  __documents__."title" as "1",
  __documents__."body" as "2",
  __users__."name" as "3",
  to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "4"
from "app_public"."documents" as __documents__
left outer join "app_public"."users" as __users__
on (
/* WHERE becoming ON */ (
  __users__."id" = __documents__."owner_id"
))
where (
  __documents__."id" = $1::"uuid"
);
-- $1 = "00000000-0000-7000-8000-000000000001"
