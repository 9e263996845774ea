select
  __generations__."text" as "0",
  __generations__."user_id" as "1",
  __documents__."title" as "2",
  __users__."name" as "3",
  to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "4"
from "app_public"."generations" as __generations__
left outer join "app_public"."documents" as __documents__
on (
/* WHERE becoming ON */ (
  __documents__."id" = __generations__."document_id"
))
left outer join "app_public"."users" as __users__
on (
/* WHERE becoming ON */ (
  __users__."id" = __generations__."user_id"
))
order by __generations__."created_at" desc, __generations__."id" desc
limit 5;
