select
  __generations__."prompt" as "0",
  __generations__."text" as "1",
  __generations__."status"::text as "2",
  __generations__."is_cached"::text as "3",
  __generations__."provider" as "4",
  __generations__."latency_ms"::text as "5",
  __users__."name" as "6",
  to_char(__users__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "7"
from "app_public"."generations" as __generations__
left outer join "app_public"."users" as __users__
on (
/* WHERE becoming ON */ (
  __users__."id" = __generations__."user_id"
))
where (
  __generations__."user_id" = (select app_hidden.current_user_id())
)
order by __generations__."created_at" desc, __generations__."id" desc
limit 20;
