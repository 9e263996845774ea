select
  __documents__."id" as "0",
  __documents__."title" as "1",
  to_char(__documents__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "2"
from "app_public"."documents" as __documents__
order by __documents__."created_at" desc, __documents__."id" desc
limit 3;
